"""Sentences, and their ids, from the columns of TSV and CSV rows."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from lightmine.errors import TextError
from lightmine.io.blocks import BlockBuilder, SentenceBlock, quote_names
from lightmine.io.formats import Column, ReadOptions

# Delimiters that are common in files named .csv, and what --delimiter calls them.
DELIMITERS = {";": ";", "\t": "tab", "|": "|"}

# The line that a record starts on, and its fields.
Row = tuple[int, list[str]]


class ColumnCounts:
    """Compares the number of fields of each row with that of the first row.

    A row with more fields is refused: its text may be cut at a delimiter that is part of the text. Empty
    fields at the end are allowed.

    Attributes
    ----------
    short : int
        Rows so far with fewer fields than the first row; blank lines do not count.
    """

    def __init__(self, name: str, separator: str) -> None:
        self.short = 0
        self._name, self._separator = name, separator
        self._first = self._width = 0

    def check(self, line: int, fields: list[str]) -> None:
        """Refuse a row with more fields, and count one with fewer."""
        if not self._width:
            self._first, self._width = line, len(fields)
        if len(fields) < self._width:
            self.short += len(fields) > 1 or bool(fields[0].strip())
        elif any(field.strip() for field in fields[self._width :]):
            raise TextError(
                f"{self._name}: line {line} has {len(fields)} columns where line {self._first} has "
                f"{self._width}; {self._advice()}"
            )

    def _advice(self) -> str:
        if self._separator == "\t":
            return "remove the tabs from its text, or make it CSV with quotes"
        return f"put a field that holds {self._separator!r} between quotes, or name another --delimiter"


def column_blocks(
    rows: Iterable[list[Row]], name: str, reading: ReadOptions, widths: ColumnCounts
) -> Iterator[SentenceBlock]:
    """Sentences and ids from rows; if no text column is named, the rows must have one column."""
    header = reading.header or isinstance(reading.text_column, str) or isinstance(reading.id_column, str)
    text_at = id_at = None
    made = BlockBuilder(0)
    for block in rows:
        made = BlockBuilder(made.total)
        for line, fields in block:
            if header:
                header = False
                text_at, id_at = (
                    _place(name, line, fields, column) for column in (reading.text_column, reading.id_column)
                )
                if text_at is None and len(fields) > 1:
                    raise TextError(_which(name, line, fields))
                widths.check(line, fields)
                continue
            if text_at is None:
                text_at, id_at = _numbers(reading)
            if len(fields) == 1 and not fields[0].strip():
                made.add("", line, "")
                continue
            if reading.text_column is None and len(fields) > 1:
                raise TextError(_which(name, line, fields))
            widths.check(line, fields)
            last = max(text_at, -1 if id_at is None else id_at)
            if last >= len(fields):
                found = f"{len(fields)} columns" if len(fields) > 1 else "one column"
                raise TextError(f"{name}: line {line} has {found}; column {last + 1} is needed")
            made.add(fields[text_at], line, "" if id_at is None else fields[id_at])
        yield made.block(ids=reading.id_column is not None)


def _numbers(reading: ReadOptions) -> tuple[int, int | None]:
    text, id_ = reading.text_column, reading.id_column
    return (text - 1 if isinstance(text, int) else 0), (id_ - 1 if isinstance(id_, int) else None)


def _place(name: str, line: int, header: list[str], column: Column | None) -> int | None:
    """The index of a column that is given by its number or by its name in the header."""
    if column is None or isinstance(column, int):
        return None if column is None else column - 1
    places = [at for at, field in enumerate(header) if field.strip() == column.strip()]
    if not places:
        hint = _delimiter_hint(header, column)
        raise TextError(
            f"{name}: line {line} names no column {column!r}; it names {quote_names(header)}{hint}"
        )
    if len(places) > 1:
        raise TextError(f"{name}: line {line} names {column!r} {len(places)} times; give the column's number")
    return places[0]


def _delimiter_hint(header: list[str], column: str) -> str:
    """Advice for a header that has this column if another delimiter is used."""
    for delimiter, called in DELIMITERS.items():
        if any(column.strip() in (part.strip() for part in field.split(delimiter)) for field in header):
            return f"; if columns are separated by {called}, say --delimiter {shlex.quote(called)}"
    return ""


def _which(name: str, line: int, fields: list[str]) -> str:
    return (
        f"{name}: line {line} has {len(fields)} columns ({quote_names(fields)}); say which is the sentence: "
        "--text-column NUMBER, or NAME if the first line has names"
    )
