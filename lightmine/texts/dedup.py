"""Exact duplicates: mined once, never forgotten."""

from __future__ import annotations

import dataclasses

from lightmine.texts.lines import Sentences


@dataclasses.dataclass(frozen=True)
class Distinct:
    """Distinct texts in order of first occurrence.

    Attributes
    ----------
    texts : list of str
    lines : list of list of int
        Every line that each text stands on, in order.
    """

    texts: list[str]
    lines: list[list[int]]

    def __len__(self) -> int:
        return len(self.texts)


def distinct(sentences: Sentences) -> Distinct:
    """Group sentences by exact text.

    Examples
    --------
    >>> distinct(Sentences("example", ["a", "b", "a"], [1, 2, 4], 4))
    Distinct(texts=['a', 'b'], lines=[[1, 4], [2]])
    """
    groups: dict[str, list[int]] = {}
    for text, line in zip(sentences.texts, sentences.lines, strict=True):
        groups.setdefault(text, []).append(line)
    return Distinct(list(groups), list(groups.values()))
