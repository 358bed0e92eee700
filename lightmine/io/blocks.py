"""Sentences of a file in blocks, whatever its format."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

# The field of JSON, or column of Parquet, that holds the sentence by default.
TEXT_FIELD = "text"
# Names that a message lists at most.
MAX_NAMES = 8


@dataclasses.dataclass(frozen=True)
class SentenceBlock:
    """Consecutive sentences of a file, without the blank ones.

    Attributes
    ----------
    texts : list of str
    lines : list of int
        The line that each sentence starts on, counted from 1; in Parquet the row, in a JSON array the
        element.
    rows : list of int
        The number of each record in the file, from 0. Blank records count, a header does not.
    total : int
        Records of the file up to the end of this block.
    ids : list of str, optional
        The id of each sentence, if ids were asked for.
    """

    texts: list[str]
    lines: list[int]
    rows: list[int]
    total: int
    ids: list[str] | None = None


class BlockBuilder:
    """Collects records, and makes a block of them."""

    def __init__(self, total: int) -> None:
        self.texts: list[str] = []
        self.lines: list[int] = []
        self.rows: list[int] = []
        self.ids: list[str] = []
        self.total = total

    def add(self, text: str, line: int, id_: str) -> None:
        """Add a record; a blank one is only counted."""
        if text.strip():
            self.texts.append(text)
            self.lines.append(line)
            self.rows.append(self.total)
            self.ids.append(id_)
        self.total += 1

    def block(self, *, ids: bool) -> SentenceBlock:
        """The block of all records that were added."""
        return SentenceBlock(self.texts, self.lines, self.rows, self.total, self.ids if ids else None)


def quote_names(names: Iterable[Any]) -> str:
    """The first of some names, shortened for a message."""
    short = [repr(each if len(str(each)) <= 24 else str(each)[:23] + "…") for each in names]
    more = f" and {len(short) - MAX_NAMES} more" if len(short) > MAX_NAMES else ""
    return ", ".join(short[:MAX_NAMES]) + more if short else "none"
