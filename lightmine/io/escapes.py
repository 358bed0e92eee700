"""Escapes of TSV as lightmine writes it: tabs, line ends, backslashes, and commas within ids."""

from __future__ import annotations

import re
from typing import Any

ESCAPED = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r", "\\,": ","}
SPECIAL, LIST_SPECIAL = re.compile(r"[\t\n\r\\]"), re.compile(r"[\t\n\r\\,]")
# Within lists, whose parts stand between commas, a comma is escaped too.
LIST_ESCAPES = str.maketrans({character: escape for escape, character in ESCAPED.items()})
ESCAPES = {code: escape for code, escape in LIST_ESCAPES.items() if chr(code) != ","}
UNESCAPE = re.compile(r"\\[\\tnr,]")
# The parts of a list with a comma before it: each ends at a comma that no backslash escapes.
PARTS = re.compile(r",((?:[^\\,]|\\.|\\$)*)", re.DOTALL)
# First columns of what lightmine writes, by which it knows its own files.
OWN_HEADERS = (
    "score\tleft_lines\tright_lines\t", "margin\tcosine\tsource_lines\ttarget_lines\t",
    "file\tcluster\tline\t",
)  # fmt: skip


def escaped(text: str) -> str:
    r"""A text as one cell of TSV.

    Examples
    --------
    >>> print(escaped("a\tb\\"))
    a\tb\\
    """
    # Few texts have any of these, and looking is ten times sooner than translating.
    return text.translate(ESCAPES) if SPECIAL.search(text) else text


def unescaped(cell: str) -> str:
    r"""The text that a cell of TSV was written from.

    Examples
    --------
    >>> unescaped(r"a\tb\\t")
    'a\tb\\t'
    """
    return UNESCAPE.sub(lambda found: ESCAPED[found[0]], cell) if "\\" in cell else cell


def joined(values: list[Any]) -> str:
    r"""Ids or line numbers as one cell.

    Examples
    --------
    >>> print(joined(["a,b", "c"]), joined([1, 4]))
    a\,b,c 1,4
    """
    return ",".join(
        value.translate(LIST_ESCAPES) if isinstance(value, str) and LIST_SPECIAL.search(value) else str(value)
        for value in values
    )


def split_list(cell: str) -> list[str]:
    r"""The ids, or line numbers, that a cell was written from.

    Examples
    --------
    >>> split_list(r"a\,b,c")
    ['a,b', 'c']
    """
    return [unescaped(part) for part in PARTS.findall(f",{cell}")]
