"""Sentences, and their ids, out of lines: plain ones, columns of TSV and CSV."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from lightmine.errors import TextError
from lightmine.io.escapes import OWN_HEADERS, unescaped
from lightmine.io.formats import Column, ReadOptions
from lightmine.io.limits import ReadLimits

TEXT_FIELD = "text"
SHOWN = 8
COMMA = ","
# Separators of columns that are common in files named .csv, and what --delimiter calls them.
DELIMITERS = {";": ";", "\t": "tab", "|": "|"}

# The line that a record starts on, and its fields.
Row = tuple[int, list[str]]


@dataclasses.dataclass(frozen=True)
class SentenceBlock:
    """Some sentences of a file, in its order; blank ones are left out.

    Attributes
    ----------
    texts : list of str
    lines : list of int
        The line that each stands on, or starts on, counted from 1; of Parquet, the row; of a
        JSON array, the element.
    rows : list of int
        Which record of the file each is, counted from 0: blank records count, a header does not.
    total : int
        Records of the file up to the end of this block.
    ids : list of str, optional
        The id that each goes by, where ids were asked for.
    """

    texts: list[str]
    lines: list[int]
    rows: list[int]
    total: int
    ids: list[str] | None = None


def plain_blocks(lines: Iterable[list[str]]) -> Iterator[SentenceBlock]:
    """A sentence a line."""
    total = 0
    for block in lines:
        kept = [(text.removesuffix("\r"), row) for row, text in enumerate(block, total) if text.strip()]
        total += len(block)
        rows = [row for _, row in kept]
        yield SentenceBlock([text for text, _ in kept], [row + 1 for row in rows], rows, total)


def id_blocks(lines: Iterable[list[str]], name: str, reading: ReadOptions) -> Iterator[SentenceBlock]:
    """An id and a sentence a line: what is not the id is the sentence, tabs and all."""
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


class Widths:
    """Holds the number of fields of each row against that of the first one.

    A row with more would lose the last of them, or have its text cut at a separator that belongs to it. Empty
    fields at the end lose nothing.

    Attributes
    ----------
    short : int
        Rows with fewer fields than the first one, so far; blank lines do not count.
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
                f"{self._width}; {self._mend()}"
            )

    def _mend(self) -> str:
        if self._separator == "\t":
            return "take the tabs out of its text, or make it CSV with quotes"
        return f"put a field that holds {self._separator!r} between quotes, or name another --delimiter"


def tab_rows(lines: Iterable[list[str]]) -> Iterator[list[Row]]:
    """Columns between tabs; nothing is quoted. In texts of lightmine's own files escapes are undone."""
    number = 0
    lists: list[bool] = []  # of a file of lightmine's own, which columns are lists of ids
    for block in lines:
        rows = [(at, line.removesuffix("\r").split("\t")) for at, line in enumerate(block, number + 1)]
        if not number and block[0].startswith(OWN_HEADERS):
            lists = [field.endswith("_ids") for field in rows[0][1]]
        yield [(at, _unescaped(fields, lists)) for at, fields in rows] if lists else rows
        number += len(block)


def _unescaped(fields: list[str], lists: list[bool]) -> list[str]:
    """Texts without escapes; a list of ids stays as it is, since its commas would join with those of ids."""
    return [field if at < len(lists) and lists[at] else unescaped(field) for at, field in enumerate(fields)]


def csv_rows(
    lines: Iterable[list[str]], name: str, limits: ReadLimits, delimiter: str = COMMA
) -> Iterator[list[Row]]:
    r"""Columns between delimiters; a quoted one may hold those, line ends, and quotes written twice.

    This is no use of the csv module, whose limit of a field's length is one for the whole process and
    which refuses a ``\r`` within a line.

    Raises
    ------
    TextError
        Quotes that do not close, or that something follows.
    """
    number = start = held = 0
    fields: list[str] = []
    quoted: list[str] | None = None  # the parts so far of a quoted field that is open
    for block in lines:
        rows: list[Row] = []
        for line in block:
            number += 1
            if quoted is None:
                if '"' not in line:
                    rows.append((number, line.removesuffix("\r").split(delimiter)))
                    continue
                start, fields, held = number, [], 0
            held += len(line) + 1
            limits.check_line(name, start, held)
            quoted = _split_quoted(line, fields, quoted, f"{name}: line {number}", delimiter)
            if quoted is None:
                rows.append((start, fields))
        yield rows
    if quoted is not None:
        raise TextError(
            f"{name}: line {start}: a quoted field is never closed; close it, or, if quotes mean nothing "
            "here, say --input-format tsv or txt"
        )


def _split_quoted(
    line: str, fields: list[str], parts: list[str] | None, where: str, delimiter: str
) -> list[str] | None:
    """Add a line's fields; the parts of its last one are returned where its quotes are still open."""
    at = 0
    while True:
        if parts is None:
            if not line.startswith('"', at):
                end = line.find(delimiter, at)
                fields.append(line[at:end] if end >= 0 else line[at:].removesuffix("\r"))
                if end < 0:
                    return None
                at = end + 1
                continue
            at, parts = at + 1, []
        end = line.find('"', at)
        if end < 0:
            parts += [line[at:], "\n"]
            return parts
        parts.append(line[at:end])
        at = end + 1
        if line.startswith('"', at):
            parts.append('"')
            at += 1
            continue
        fields.append("".join(parts))
        parts = None
        if line[at : at + 2] in ("", "\r"):
            return None
        if line[at] != delimiter:
            raise TextError(
                f"{where}: {line[at]!r} follows a closing quote; quotes within a quoted field are written "
                "twice"
            )
        at += 1


def column_blocks(
    rows: Iterable[list[Row]], name: str, reading: ReadOptions, widths: Widths
) -> Iterator[SentenceBlock]:
    """Sentences, and ids, from columns; without a text column there may be one column alone."""
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
    """Where a column stands, by number or by its name in the header."""
    if column is None or isinstance(column, int):
        return None if column is None else column - 1
    places = [at for at, field in enumerate(header) if field.strip() == column.strip()]
    if not places:
        hint = _delimiter_hint(header, column)
        raise TextError(f"{name}: line {line} names no column {column!r}; it names {shown(header)}{hint}")
    if len(places) > 1:
        raise TextError(f"{name}: line {line} names {column!r} {len(places)} times; give the column's number")
    return places[0]


def _delimiter_hint(header: list[str], column: str) -> str:
    """What to say where another delimiter would make a column of that name."""
    for delimiter, called in DELIMITERS.items():
        if any(column.strip() in (part.strip() for part in field.split(delimiter)) for field in header):
            return f"; if columns are separated by {called}, say --delimiter {shlex.quote(called)}"
    return ""


def _which(name: str, line: int, fields: list[str]) -> str:
    return (
        f"{name}: line {line} has {len(fields)} columns ({shown(fields)}); say which is the sentence: "
        "--text-column NUMBER, or NAME if the first line has names"
    )


def shown(names: Iterable[Any]) -> str:
    """Some names, short enough for a message."""
    short = [repr(each if len(str(each)) <= 24 else str(each)[:23] + "…") for each in names]
    more = f" and {len(short) - SHOWN} more" if len(short) > SHOWN else ""
    return ", ".join(short[:SHOWN]) + more if short else "none"


class BlockBuilder:
    """A block in the making."""

    def __init__(self, total: int) -> None:
        self.texts: list[str] = []
        self.lines: list[int] = []
        self.rows: list[int] = []
        self.ids: list[str] = []
        self.total = total

    def add(self, text: str, line: int, id_: str) -> None:
        """Take a record; a blank one only counts."""
        if text.strip():
            self.texts.append(text)
            self.lines.append(line)
            self.rows.append(self.total)
            self.ids.append(id_)
        self.total += 1

    def block(self, *, ids: bool) -> SentenceBlock:
        """All that was taken."""
        return SentenceBlock(self.texts, self.lines, self.rows, self.total, self.ids if ids else None)
