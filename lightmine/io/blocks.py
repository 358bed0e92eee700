"""Sentences of a file in blocks, whatever its format."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

# The field, or column of Parquet, that holds the sentence where none is named.
TEXT_FIELD = "text"
# Names that a message lists.
SHOWN = 8


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


def quote_names(names: Iterable[Any]) -> str:
    """Some names, short enough for a message."""
    short = [repr(each if len(str(each)) <= 24 else str(each)[:23] + "…") for each in names]
    more = f" and {len(short) - SHOWN} more" if len(short) > SHOWN else ""
    return ", ".join(short[:SHOWN]) + more if short else "none"
