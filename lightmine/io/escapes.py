"""Escapes in the TSV that lightmine writes: tabs, line ends, backslashes, and commas in ids."""

from __future__ import annotations

import re
from typing import Any

ESCAPED = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r", "\\,": ","}
SPECIAL, LIST_SPECIAL = re.compile(r"[\t\n\r\\]"), re.compile(r"[\t\n\r\\,]")
# In a list, which is joined by commas, commas are escaped too.
LIST_ESCAPES = str.maketrans({character: escape for escape, character in ESCAPED.items()})
ESCAPES = {code: escape for code, escape in LIST_ESCAPES.items() if chr(code) != ","}
UNESCAPE = re.compile(r"\\[\\tnr,]")
# The parts of a list, with a comma before it: each ends at a comma without a backslash.
PARTS = re.compile(r",((?:[^\\,]|\\.|\\$)*)", re.DOTALL)
# The first columns of files that lightmine writes, by which it recognizes them.
OWN_HEADERS = (
    "score\tleft_lines\tright_lines\t", "margin\tcosine\tsource_lines\ttarget_lines\t",
    "file\tcluster\tline\t",
)  # fmt: skip


def escape(text: str) -> str:
    r"""A text as a cell of TSV.

    Examples
    --------
    >>> print(escape("a\tb\\"))
    a\tb\\
    """
    # Few texts have special characters, and a search is ten times as fast as translate.
    return text.translate(ESCAPES) if SPECIAL.search(text) else text


def unescape(cell: str) -> str:
    r"""The text of a cell of TSV.

    Examples
    --------
    >>> unescape(r"a\tb\\t")
    'a\tb\\t'
    """
    return UNESCAPE.sub(lambda found: ESCAPED[found[0]], cell) if "\\" in cell else cell


def join_list(values: list[Any]) -> str:
    r"""Ids or line numbers as a cell of TSV.

    Examples
    --------
    >>> print(join_list(["a,b", "c"]), join_list([1, 4]))
    a\,b,c 1,4
    """
    return ",".join(
        value.translate(LIST_ESCAPES) if isinstance(value, str) and LIST_SPECIAL.search(value) else str(value)
        for value in values
    )


def split_list(cell: str) -> list[str]:
    r"""The ids or line numbers of a cell of TSV.

    Examples
    --------
    >>> split_list(r"a\,b,c")
    ['a,b', 'c']
    """
    return [unescape(part) for part in PARTS.findall(f",{cell}")]
