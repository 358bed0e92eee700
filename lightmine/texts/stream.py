"""Sentences of a file in blocks, in memory that does not grow with the file."""

from __future__ import annotations

import dataclasses
import gzip
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from lightmine.errors import TextError
from lightmine.texts.lines import BOM, STDIN

CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Block:
    """Some sentences of a file, in its order; blank ones are left out.

    Attributes
    ----------
    texts : list of str
    rows : list of int
        Which line of the file each is, counted from 0.
    total : int
        Lines of the file up to the end of this block.
    """

    texts: list[str]
    rows: list[int]
    total: int


class SentenceStream:
    """The sentences of one file in blocks; see `stream_sentences`."""

    def __init__(self, path: str | Path) -> None:
        self.name = "standard input" if str(path) == STDIN else str(path)
        self._path = path

    def __iter__(self) -> Iterator[Block]:
        total = 0
        for data in self._pieces():
            lines = self._decoded(data, total).split("\n")
            if not lines[-1]:
                lines.pop()
            kept = [(row, line.removesuffix("\r")) for row, line in enumerate(lines, total) if line.strip()]
            total += len(lines)
            yield Block([text for _, text in kept], [row for row, _ in kept], total)

    def _pieces(self) -> Iterator[bytes]:
        """The file's bytes, each piece but the last ending where a line ends."""
        rest: list[bytes] = []
        first = True
        for chunk in self._chunks():
            data = chunk.removeprefix(BOM) if first else chunk
            first = False
            end = data.rfind(b"\n") + 1
            if end:
                yield b"".join([*rest, data[:end]])
                rest = []
            rest.append(data[end:])
        if any(rest):
            yield b"".join(rest)

    def _chunks(self) -> Iterator[bytes]:
        try:
            if str(self._path) == STDIN:
                while chunk := sys.stdin.buffer.read(CHUNK):
                    yield chunk
                return
            opened = gzip.open if self.name.endswith(".gz") else open
            with opened(self._path, "rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except FileNotFoundError:
            raise TextError(f"{self.name}: no such file") from None
        except IsADirectoryError:
            raise TextError(f"{self.name}: is a directory; name a text file in it") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise TextError(f"{self.name}: not a whole gzip file: {error}") from None
        except OSError as error:
            raise TextError(f"{self.name}: cannot be read: {error.strerror}") from None

    def _decoded(self, data: bytes, lines: int) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = lines + data.count(b"\n", 0, error.start) + 1
            byte = error.start - data.rfind(b"\n", 0, error.start)
            if line == 1 and lines == 0:
                byte += len(BOM) * self._has_bom()
            raise TextError(
                f"{self.name}: line {line}, byte {byte} of the line: 0x{data[error.start]:02x} is not UTF-8; "
                "convert the file to UTF-8 first"
            ) from None

    def _has_bom(self) -> bool:
        return str(self._path) != STDIN and next(self._chunks(), b"").startswith(BOM)


def stream_sentences(path: str | Path) -> SentenceStream:
    """The sentences of a file, read as `read_sentences` does, in blocks of about a megabyte.

    Raises
    ------
    TextError
        The file cannot be read, or a line of it; raised when its block is asked for.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "two.txt")
    >>> _ = path.write_text("one\\n\\ntwo")
    >>> list(stream_sentences(path))
    [Block(texts=['one'], rows=[0], total=2), Block(texts=['two'], rows=[2], total=3)]
    """
    return SentenceStream(path)
