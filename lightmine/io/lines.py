"""Plain text files: one sentence a line, or an id, a tab and a sentence a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lightmine.errors import TextError
from lightmine.io.blocks import BlockBuilder, SentenceBlock
from lightmine.io.formats import ReadOptions


def line_blocks(lines: Iterable[list[str]]) -> Iterator[SentenceBlock]:
    """The sentences of a file with one sentence a line."""
    total = 0
    for block in lines:
        kept = [(text.removesuffix("\r"), row) for row, text in enumerate(block, total) if text.strip()]
        total += len(block)
        rows = [row for _, row in kept]
        yield SentenceBlock([text for text, _ in kept], [row + 1 for row in rows], rows, total)


def id_line_blocks(lines: Iterable[list[str]], name: str, reading: ReadOptions) -> Iterator[SentenceBlock]:
    """The sentences of a file with an id and a sentence a line; a sentence may hold tabs."""
    total = 0
    for block in lines:
        made = BlockBuilder(total)
        for number, line in enumerate(block, total + 1):
            line = line.removesuffix("\r")
            fields = line.split("\t", 1) if reading.id_column == 1 else line.rsplit("\t", 1)[::-1]
            if len(fields) == 2:
                made.add(fields[1], number, fields[0])
            elif line.strip():
                raise TextError(f"{name}: line {number} has no tab; an id, a tab and a sentence are needed")
            else:
                made.add("", number, "")
        total = made.total
        yield made.block(ids=True)
