"""Rows of CSV files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lightmine.errors import TextError
from lightmine.io.columns import Row
from lightmine.io.limits import ReadLimits

COMMA = ","


def csv_rows(
    lines: Iterable[list[str]], name: str, limits: ReadLimits, delimiter: str = COMMA
) -> Iterator[list[Row]]:
    r"""The rows of CSV. A quoted field may hold delimiters, line ends, and quotes that are written twice.

    The csv module of the standard library is not used: it has one limit of a field's length for the whole
    process, and it refuses a ``\r`` inside a line.

    Raises
    ------
    TextError
        A quoted field is not closed, or something follows its closing quote.
    """
    number = start = held = 0
    fields: list[str] = []
    quoted: list[str] | None = None  # the parts of a quoted field that is not closed yet
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
    """Add the fields of a line; returns the parts of the last one if it is not closed on this line."""
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
