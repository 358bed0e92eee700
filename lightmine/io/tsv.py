"""Rows of TSV files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lightmine.io.columns import Row
from lightmine.io.escapes import OWN_HEADERS, unescape


def tsv_rows(lines: Iterable[list[str]]) -> Iterator[list[Row]]:
    """The rows of TSV, without quoting. In files that lightmine wrote, escapes are replaced."""
    number = 0
    lists: list[bool] = []  # in a file that lightmine wrote: which columns are lists of ids
    for block in lines:
        rows = [(at, line.removesuffix("\r").split("\t")) for at, line in enumerate(block, number + 1)]
        if not number and block[0].startswith(OWN_HEADERS):
            lists = [field.endswith("_ids") for field in rows[0][1]]
        yield [(at, _unescaped(fields, lists)) for at, fields in rows] if lists else rows
        number += len(block)


def _unescaped(fields: list[str], lists: list[bool]) -> list[str]:
    """Texts without escapes. Lists of ids keep theirs: an escaped comma is part of an id."""
    return [field if at < len(lists) and lists[at] else unescape(field) for at, field in enumerate(fields)]
