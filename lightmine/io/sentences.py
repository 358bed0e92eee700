"""Read the sentences of a file of any format, without changing them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Iterator
from pathlib import Path

from lightmine.errors import ArgumentError
from lightmine.io.blocks import SentenceBlock
from lightmine.io.columns import ColumnCounts, Row, column_blocks
from lightmine.io.csv import COMMA, csv_rows
from lightmine.io.decoding import DecodedLines
from lightmine.io.formats import STDIN, ReadOptions
from lightmine.io.json_arrays import json_array_blocks
from lightmine.io.jsonl import jsonl_blocks
from lightmine.io.limits import ReadLimits
from lightmine.io.lines import id_line_blocks, line_blocks
from lightmine.io.parquet import ParquetBlocks
from lightmine.io.sources import name_of, open_seekable, read_chunks, size_of
from lightmine.io.tsv import tsv_rows

__all__ = [
    "STDIN",
    "SentenceBlock",
    "SentenceStream",
    "Sentences",
    "read_sentences",
    "stream_rows",
    "stream_sentences",
]


@dataclasses.dataclass(frozen=True)
class Sentences:
    """The sentences of a file, without the blank ones.

    Attributes
    ----------
    name : str
        The file, as messages name it.
    texts : list of str
    lines : list of int
        The line that each text starts on, counted from 1; in Parquet the row, in a JSON array the element.
    total : int
        Records in the file (lines, unless a record has several). Blank ones count, a header does not.
    ids : list of str, optional
        The id of each text, if the file has ids.
    rows : list of int, optional
        The number of the record of each text, from 0; None if it is always the line number less 1.
    replaced : int
        Invalid sequences of bytes, which were replaced with U+FFFD.
    bom : bool
        The file starts with a byte order mark, which is not part of a text.
    remarks : dict of str to int
        How many lines are unusual, by the reason; they are kept as they are.
    """

    name: str
    texts: list[str]
    lines: list[int]
    total: int
    ids: list[str] | None = None
    rows: list[int] | None = None
    replaced: int = 0
    bom: bool = False
    remarks: dict[str, int] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def places(self) -> list[int]:
        """The number of the record of each text, from 0."""
        return [line - 1 for line in self.lines] if self.rows is None else self.rows

    def take(self, chosen: list[int]) -> Sentences:
        """Some of the sentences, by their indices, in that order."""
        ids = None if self.ids is None else [self.ids[at] for at in chosen]
        rows = None if self.rows is None else [self.rows[at] for at in chosen]
        texts, lines = [self.texts[at] for at in chosen], [self.lines[at] for at in chosen]
        return dataclasses.replace(self, texts=texts, lines=lines, ids=ids, rows=rows)


class SentenceStream:
    """The sentences of a file in blocks of bounded size; can be iterated once; see `stream_sentences`.

    Attributes
    ----------
    name : str
        The file, as messages name it.
    total : int
        Records read so far; at the end, all records of the file.
    sentences : int
        Records read so far that are not blank.
    replaced : int
        Invalid sequences of bytes so far, which were replaced with U+FFFD.
    bom : bool
        The file starts with a byte order mark, which is not part of a text.
    remarks : dict of str to int
        How many lines so far are unusual, by the reason; they are kept as they are.
    """

    def __init__(self, path: str, reading: ReadOptions, limits: ReadLimits) -> None:
        self.name, self.total, self.replaced, self.bom = name_of(path), 0, 0, False
        self._widths: ColumnCounts | None = None
        self._lines: DecodedLines | None = None
        self.sentences = self._read = 0
        self._size = size_of(path)
        self._path, self._reading, self._limits = path, reading, limits
        self._kind = kind = reading.kind(path)
        if (
            kind.format in ("txt", "tsv")
            and reading.text_column is None
            and reading.id_column not in (None, 1, 2)
        ):
            raise ArgumentError(
                "--id-column 1 or 2 is of an id and a sentence; beyond, name --text-column too"
            )

    def __iter__(self) -> Iterator[SentenceBlock]:
        with contextlib.closing(self._blocks()) as blocks:
            for block in blocks:
                self.total = block.total
                self.sentences += len(block.texts)
                yield block

    @property
    def share(self) -> float | None:
        """The share of the file that was read: of its bytes on disk, or of the rows of Parquet.

        None if the size is not known, as for standard input.
        """
        return min(1.0, self._read / self._size) if self._size else None

    @property
    def remarks(self) -> dict[str, int]:
        """The attribute `remarks`."""
        lines, widths = self._lines, self._widths
        found = {
            "rows with fewer columns than the first": widths.short if widths else 0,
            "lines with a carriage return within": lines.returns if lines else 0,
            "lines with a NUL character": lines.nulls if lines else 0,
        }
        return {what: count for what, count in found.items() if count}

    def _tell(self, read: int) -> None:
        self._read += read

    def _blocks(self) -> Generator[SentenceBlock, None, None]:
        kind, reading = self._kind, self._reading
        if kind.format == "parquet":
            with open_seekable(self._path, kind.compression, self._limits) as file:
                table = ParquetBlocks(file, self.name, reading, self._limits)
                for block in table:
                    self.replaced = table.replaced
                    self._read, self._size = block.total, table.rows
                    yield block
            return
        with contextlib.closing(read_chunks(self._path, kind.compression, self._limits, self._tell)) as data:
            lines = DecodedLines(
                data, self.name, encoding=reading.encoding, errors=reading.errors, limits=self._limits
            )
            self._lines = lines
            for block in self._of_lines(lines):
                self.replaced, self.bom = lines.replaced, lines.bom
                yield block
            self.bom = lines.bom

    def _of_lines(self, lines: DecodedLines) -> Iterator[SentenceBlock]:
        kind, reading = self._kind.format, self._reading
        columns = (reading.text_column, reading.id_column)
        if kind == "json" and lines.peek() == "[":
            return json_array_blocks(lines, reading)
        if kind in ("json", "jsonl"):
            return jsonl_blocks(lines, reading)
        if reading.delimiter is not None and kind != "csv":
            raise ArgumentError(
                f"--delimiter is of CSV, and {self.name} is read as {kind}; say --input-format csv"
            )
        if kind == "csv":
            delimiter = reading.delimiter or COMMA
            self._widths = ColumnCounts(self.name, delimiter)
            rows = csv_rows(lines, self.name, self._limits, delimiter)
            return column_blocks(rows, self.name, reading, self._widths)
        if kind == "txt" and columns == (None, None) and not reading.header:
            return line_blocks(lines)
        if reading.text_column is None and isinstance(reading.id_column, int):
            return id_line_blocks(lines, self.name, reading)
        self._widths = ColumnCounts(self.name, "\t")
        return column_blocks(tsv_rows(lines), self.name, reading, self._widths)


def stream_sentences(
    path: str | Path, reading: ReadOptions | None = None, *, limits: ReadLimits | None = None
) -> SentenceStream:
    r"""The sentences of a file in blocks, in memory that does not grow with the file.

    A block has about a megabyte of text, or about a thousand rows of Parquet. A block of blank records alone
    has no texts. Nothing is read before the first block.

    Parameters
    ----------
    path : path
        A file, a URL for fsspec, or ``-``, standard input.
    reading : ReadOptions, optional
        Format, columns and encoding; by default the format of the name, UTF-8, one sentence a line.
    limits : ReadLimits, optional
        Limits for untrusted files; by default those of environment variables.

    Raises
    ------
    TextError
        The file, or a line of it, cannot be read; raised when the block is read.
    MissingExtraError
        The package that reads this format, compression or protocol is not installed.
    ArgumentError
        The name is of a format that is not read, or an option is not for this format.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "two.csv")
    >>> _ = path.write_text('n,sentence\n1,"one\nline"\n2,\n3,two\n')
    >>> stream = stream_sentences(path, ReadOptions(text_column="sentence", id_column="n"))
    >>> for block in stream:
    ...     print(block)
    SentenceBlock(texts=['one\nline', 'two'], lines=[2, 5], rows=[0, 2], total=3, ids=['1', '3'])
    >>> stream.total
    3
    """
    return SentenceStream(str(path), reading or ReadOptions(), limits or ReadLimits.from_environment())


def stream_rows(path: str, reading: ReadOptions) -> tuple[str, Iterator[list[Row]]]:
    """The name of a TSV or CSV file, and its rows in blocks; see `stream_sentences`."""
    limits, kind, name = ReadLimits.from_environment(), reading.kind(path), name_of(path)
    data = read_chunks(path, kind.compression, limits)
    lines = DecodedLines(data, name, encoding=reading.encoding, errors=reading.errors, limits=limits)
    return name, csv_rows(lines, name, limits) if kind.format == "csv" else tsv_rows(lines)


def read_sentences(
    path: str | Path, reading: ReadOptions | None = None, *, limits: ReadLimits | None = None
) -> Sentences:
    r"""Read all sentences of a file; parameters and errors are those of `stream_sentences`.

    Lines are split on ``\n`` alone, and one final ``\r`` is removed. All other characters stay, also U+2028
    and NUL. A byte order mark at the start is not part of the first sentence. Sentences that are empty or
    have only white space are left out, but are counted in the line numbers.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "two.txt")
    >>> _ = path.write_bytes("one\r\n\ntwo\u2028still two".encode())
    >>> sentences = read_sentences(path)
    >>> sentences.texts, sentences.lines, sentences.total
    (['one', 'two\u2028still two'], [1, 3], 3)
    """
    stream = stream_sentences(path, reading, limits=limits)
    texts: list[str] = []
    lines: list[int] = []
    ids: list[str] = []
    rows: list[int] | None = None
    for block in stream:
        if rows is None and any(line - 1 != row for line, row in zip(block.lines, block.rows, strict=True)):
            rows = [line - 1 for line in lines]
        texts += block.texts
        lines += block.lines
        ids += block.ids or ()
        if rows is not None:
            rows += block.rows
    with_ids = reading is not None and reading.id_column is not None
    return Sentences(
        stream.name, texts, lines, stream.total, ids if with_ids else None, rows, stream.replaced, stream.bom,
        stream.remarks,
    )  # fmt: skip
