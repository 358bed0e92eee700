"""What the answer of a join is: `JoinSpec` defines it, `Pairs` and `SelectedPairs` hold it."""

from __future__ import annotations

import dataclasses

import numpy as np

from lightmine.results import Indices, Mask, ScoredPairs


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Pairs(ScoredPairs):
    """Scored pairs in the canonical order: score descending, then left, then right.

    Attributes
    ----------
    left, right : int64 arrays of shape (p,)
        Rows of the two sides; ``left < right`` within one collection.
    score : float32 array of shape (p,)
    limited_by : tuple of str
        Caps that left pairs out when these were mined, none by default. ``"max_pairs"``: more pairs qualify.
        ``"top_k"``: some pair within the limits (of those that score over the last pair here, if `max_pairs`
        was reached too) is in the list of neither end; only told of pairs that were mined with a threshold,
        since without one every pair qualifies.

    Iterating gives ``(score, left, right)`` tuples of Python numbers, as sentence-transformers does, and so
    does an integer index; slices, masks and arrays of row numbers give `Pairs`, with the same `limited_by`.
    ``==`` compares left, right and score.

    Examples
    --------
    >>> pairs = Pairs(np.array([0]), np.array([2]), np.array([0.5], np.float32))
    >>> len(pairs), list(pairs)
    (1, [(0.5, 0, 2)])
    >>> pairs[0], pairs[:1]
    ((0.5, 0, 2), Pairs(1 pair, scores 0.5 to 0.5: (0.5, 0, 2)))
    """

    limited_by: tuple[str, ...] = dataclasses.field(default=(), compare=False)


@dataclasses.dataclass(frozen=True)
class JoinSpec:
    """What the answer is.

    A pair is in the answer if its score is at least `min_score`, if it is among the best `k_left` of its
    left row or the best `k_right` of its right row (equal scores: the lower index first; either
    ``None``: that side lists nothing; both ``None``: every pair counts as listed), and if it is among
    the best `max_pairs` of such pairs. In one collection `n` is `m`, the two sides share their rows,
    and both ends list a pair. Pairs over `max_score` count for nothing.
    """

    n: int
    m: int
    self_join: bool
    k_left: int | None = None
    k_right: int | None = None
    min_score: float = -np.inf
    max_score: float = np.inf
    max_pairs: int | None = None

    def most_kept(self) -> int:
        """The most candidates that one selection can leave, if the spec has a limit at all."""
        lists = self.n * (self.k_left or 0) + (0 if self.self_join else self.m * (self.k_right or 0))
        bounds = [lists] if self.k_left or self.k_right else []
        if self.max_pairs is not None:
            bounds.append(2 * self.max_pairs)
        all_pairs = self.n * (self.n - 1) // 2 if self.self_join else self.n * self.m
        return min([*bounds, all_pairs]) if bounds else 0

    def bounded(self) -> bool:
        """Whether the spec itself limits the size of the answer."""
        return bool(self.k_left or self.k_right or self.max_pairs is not None)


@dataclasses.dataclass(frozen=True)
class SelectedPairs:
    """Pairs, and which of them are in the list of their left row, and of their right row.

    If the spec lists nothing on either side, every pair counts as listed by both.
    """

    pairs: Pairs
    by_left: Mask
    by_right: Mask

    def __getitem__(self, chosen: slice | Mask | Indices) -> SelectedPairs:
        return SelectedPairs(self.pairs[chosen], self.by_left[chosen], self.by_right[chosen])
