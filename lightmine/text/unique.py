"""Exact duplicates: they are mined once, and all their lines are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from lightmine.io.sentences import Sentences


@dataclasses.dataclass(frozen=True)
class UniqueTexts:
    """The distinct texts of a file, in order of first occurrence.

    Attributes
    ----------
    texts : list of str
        Each text, as it is at its first occurrence.
    lines : list of list of int
        All lines of each text, in order.
    ids : list of list of str, optional
        The ids of these lines, if the file has ids.
    """

    texts: list[str]
    lines: list[list[int]]
    ids: list[list[str]] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: list[int]) -> UniqueTexts:
        """Some of the texts, by their indices, in that order.

        Examples
        --------
        >>> UniqueTexts(["a", "b"], [[1, 4], [2]]).take([1])
        UniqueTexts(texts=['b'], lines=[[2]], ids=None)
        """
        ids = None if self.ids is None else [self.ids[row] for row in rows]
        return UniqueTexts([self.texts[row] for row in rows], [self.lines[row] for row in rows], ids)

    def firsts(self) -> UniqueTexts:
        """The same texts, each with only its first line and id.

        Examples
        --------
        >>> UniqueTexts(["a"], [[1, 4]]).firsts()
        UniqueTexts(texts=['a'], lines=[[1]], ids=None)
        """
        ids = None if self.ids is None else [ids[:1] for ids in self.ids]
        return UniqueTexts(self.texts, [lines[:1] for lines in self.lines], ids)


def unique_texts(sentences: Sentences, key: Callable[[str], str] = str) -> UniqueTexts:
    """Group sentences by exact text, or by the result of `key`.

    Examples
    --------
    >>> unique_texts(Sentences("example", ["a", "b", "a"], [1, 2, 4], 4))
    UniqueTexts(texts=['a', 'b'], lines=[[1, 4], [2]], ids=None)
    """
    groups: dict[str, list[int]] = {}
    for place, text in enumerate(sentences.texts):
        groups.setdefault(key(text), []).append(place)
    places = list(groups.values())
    ids = sentences.ids
    return UniqueTexts(
        [sentences.texts[group[0]] for group in places],
        [[sentences.lines[place] for place in group] for group in places],
        None if ids is None else [[ids[place] for place in group] for group in places],
    )
