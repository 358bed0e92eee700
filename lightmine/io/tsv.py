"""Rows of TSV files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lightmine.io.columns import Row
from lightmine.io.escapes import OWN_HEADERS, unescaped


def tsv_rows(lines: Iterable[list[str]]) -> Iterator[list[Row]]:
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
