"""Which candidates may still be in the answer: running limits, and the selection that raises them.

A `Rule` says what the answer is. `Candidates` holds exactly scored pairs, and from time to time
throws out those that the rule cannot keep any more and raises the limits under which workers need
not propose pairs at all. Limits are always sound: they only follow from pairs that were seen.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import BudgetError

Indices = NDArray[np.int64]
Scores = NDArray[np.float32]
Mask = NDArray[np.bool_]

MINUS_INFINITY = np.float32(-np.inf)


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Scored pairs in the one order: score descending, then left, then right.

    Attributes
    ----------
    left, right : int64 arrays of shape (p,)
        Rows of the two sides; ``left < right`` within one collection.
    score : float32 array of shape (p,)

    Iterating gives ``(score, left, right)`` tuples of Python numbers, as sentence-transformers does.

    Examples
    --------
    >>> pairs = Pairs(np.array([0]), np.array([2]), np.array([0.5], np.float32))
    >>> len(pairs), list(pairs)
    (1, [(0.5, 0, 2)])
    """

    left: Indices
    right: Indices
    score: Scores

    def __len__(self) -> int:
        return len(self.score)

    def __iter__(self) -> Iterator[tuple[float, int, int]]:
        return zip(self.score.tolist(), self.left.tolist(), self.right.tolist(), strict=True)

    def __getitem__(self, chosen: slice | Mask | Indices) -> Pairs:
        return Pairs(self.left[chosen], self.right[chosen], self.score[chosen])


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the answer is.

    A pair is in the answer if its score is at least `floor`, if it is among the best `k_left` of its
    left row or the best `k_right` of its right row (equal scores: the lower index first; either
    ``None``: that side lists nothing; both ``None``: every pair counts as listed), and if it is among
    the best `max_pairs` of such pairs. In one collection `n` is `m`, the two sides share their rows,
    and both ends list a pair.
    """

    n: int
    m: int
    one_collection: bool
    k_left: int | None = None
    k_right: int | None = None
    floor: float = -np.inf
    max_pairs: int | None = None

    def most_kept(self) -> int:
        """The most candidates that one selection can leave, where the rule has a limit at all."""
        lists = self.n * (self.k_left or 0) + (0 if self.one_collection else self.m * (self.k_right or 0))
        bounds = [lists] if self.k_left or self.k_right else []
        if self.max_pairs is not None:
            bounds.append(2 * self.max_pairs)
        all_pairs = self.n * (self.n - 1) // 2 if self.one_collection else self.n * self.m
        return min([*bounds, all_pairs]) if bounds else 0

    def bounded(self) -> bool:
        """Whether the rule itself limits the size of the answer."""
        return bool(self.k_left or self.k_right or self.max_pairs is not None)


@dataclasses.dataclass
class Limits:
    """Scores under which a pair cannot be in the answer; they only rise.

    A pair can be dropped if its score is under `floor`, or under both its rows' limits. `left` and
    `right` are one array in one collection, and ``None`` where that side lists nothing.
    """

    floor: np.float32
    left: Scores | None
    right: Scores | None

    def admit(self, left: Indices, right: Indices, scores: Scores) -> Mask:
        """Which scored pairs can still be in the answer."""
        listed = np.zeros(len(scores), bool) if self.left is not None or self.right is not None else True
        if self.left is not None:
            listed |= scores >= self.left[left]
        if self.right is not None:
            listed |= scores >= self.right[right]
        mask: Mask = (scores >= self.floor) & listed
        return mask


class Candidates:
    """Scored pairs that may be in the answer; shared by all workers."""

    def __init__(self, rule: Rule, *, capacity: int) -> None:
        self.rule = rule
        self.capacity = capacity
        floor = np.float32(rule.floor)
        # A threshold between two float32 numbers is met from the upper one on.
        floor = floor if float(floor) >= rule.floor else np.nextafter(floor, np.float32(np.inf))
        left = np.full(rule.n, MINUS_INFINITY) if rule.k_left else None
        right = np.full(rule.m, MINUS_INFINITY) if rule.k_right else None
        self.limits = Limits(floor, left, left if rule.one_collection else right)
        self._lock = threading.Lock()
        self._kept: list[Pairs] = []
        self._count = 0
        self._settled = 0

    def raise_limits(self, side: str, rows: slice, limits: Scores) -> None:
        """Take limits found some other way (each row has k partners that score at least this)."""
        array = self.limits.left if side == "left" else self.limits.right
        if array is not None:
            np.maximum(array[rows], limits, out=array[rows])

    def offer(self, left: Indices, right: Indices, scores: Scores) -> None:
        """Add scored pairs; select when enough have come since the last time."""
        admitted = self.limits.admit(left, right, scores)
        pairs = Pairs(left[admitted], right[admitted], scores[admitted])
        with self._lock:
            self._kept.append(Pairs(pairs.left.astype(np.int32), pairs.right.astype(np.int32), pairs.score))
            self._count += len(pairs)
            # Selecting costs as much as is held: wait for half as much again, and not past the capacity.
            due = max(1 << 16, self._settled + self._settled // 2)
            if self.rule.bounded() and self._count > min(due, self.capacity):
                self._select()
            if self._count > self.capacity:
                raise BudgetError(
                    f"over {self.capacity:,} pairs qualify, more than the memory_budget holds; "
                    "raise the threshold, set max_pairs, or raise memory_budget"
                )

    def answer(self) -> tuple[Pairs, Mask | None, Mask | None]:
        """The pairs that the rule keeps, in order, and which of them each side lists."""
        pairs, by_left, by_right = self._select()
        order = np.lexsort((pairs.right, pairs.left, -pairs.score))
        if self.rule.max_pairs is not None:
            order = order[: self.rule.max_pairs]
        left, right = pairs.left[order].astype(np.int64), pairs.right[order].astype(np.int64)
        return (
            Pairs(left, right, pairs.score[order]),
            None if by_left is None else by_left[order],
            None if by_right is None else by_right[order],
        )

    def _select(self) -> tuple[Pairs, Mask | None, Mask | None]:
        """Drop what the rule cannot keep any more, raise the limits; returns what is left."""
        pairs = Pairs(
            *(np.concatenate([getattr(part, name) for part in self._kept]) if self._kept else empty
              for name, empty in (("left", np.empty(0, np.int32)), ("right", np.empty(0, np.int32)),
                                  ("score", np.empty(0, np.float32))))
        )  # fmt: skip
        by_left, by_right = self._listed(pairs)
        if by_left is not None or by_right is not None:
            either = (by_left if by_left is not None else False) | (by_right if by_right is not None else False)
            pairs, by_left, by_right = pairs[either], _take(by_left, either), _take(by_right, either)
        if self.rule.max_pairs is not None:
            best = self._best(pairs, by_left, by_right)
            if best is not None:
                pairs, by_left, by_right = pairs[best], _take(by_left, best), _take(by_right, best)
        self._kept, self._count, self._settled = [pairs], len(pairs), len(pairs)
        return pairs, by_left, by_right

    def _listed(self, pairs: Pairs) -> tuple[Mask | None, Mask | None]:
        """Which pairs are in the list of their left row, and of their right row."""
        rule, limits = self.rule, self.limits
        if rule.one_collection and rule.k_left:
            rows = np.concatenate([pairs.left, pairs.right])
            others = np.concatenate([pairs.right, pairs.left])
            scores = np.concatenate([pairs.score, pairs.score])
            listed = top_k(rows, others, scores, rule.k_left, limits.left)
            return listed[: len(pairs)], listed[len(pairs) :]
        by_left = by_right = None
        if rule.k_left:
            by_left = top_k(pairs.left, pairs.right, pairs.score, rule.k_left, limits.left)
        if rule.k_right:
            by_right = top_k(pairs.right, pairs.left, pairs.score, rule.k_right, limits.right)
        return by_left, by_right

    def _best(self, pairs: Pairs, by_left: Mask | None, by_right: Mask | None) -> Indices | None:
        """The best pairs, cut where no later pair can be among the best `max_pairs` of the answer.

        A pair's listing can still be lost to a better one, so counting listed pairs would cut too
        early. Counting listings does not: a row that lists c pairs at or above some place in the
        order will always list at least c, so 2·max_pairs listings are max_pairs pairs or more.
        """
        assert self.rule.max_pairs is not None
        sides = [side.astype(np.int64) for side in (by_left, by_right) if side is not None]
        listings = sum(sides) if sides else np.full(len(pairs), 2)
        need = 2 * self.rule.max_pairs
        if listings.sum() <= need:
            return None
        order = np.lexsort((pairs.right, pairs.left, -pairs.score))
        cut = int(np.searchsorted(np.cumsum(listings[order]), need)) + 1
        best = order[:cut]
        if len(best):
            self.limits.floor = max(self.limits.floor, pairs.score[best[-1]])
        else:
            self.limits.floor = np.float32(np.inf)
        return best


def _take(mask: Mask | None, chosen: Mask | Indices) -> Mask | None:
    return None if mask is None else mask[chosen]


def top_k(
    rows: NDArray[np.int32], others: NDArray[np.int32], scores: Scores, k: int, limits: Scores | None = None
) -> Mask:
    """Which entries are among the best k of their row; equal scores: the lower `others` first.

    Parameters
    ----------
    rows, others : int32 arrays of shape (e,), not negative
    scores : float32 array of shape (e,), no NaN and no negative zero
    k : int
        At least 1.
    limits : float32 array, optional
        ``limits[row]`` is raised to the k-th best score of each row that has k entries.

    Returns
    -------
    bool array of shape (e,)

    Examples
    --------
    >>> rows, others = np.array([0, 0, 0, 1], np.int32), np.array([3, 2, 1, 0], np.int32)
    >>> top_k(rows, others, np.array([0.5, 0.5, 0.9, 0.1], np.float32), 2)
    array([False,  True,  True,  True])
    """
    if not len(rows):
        return np.zeros(0, bool)
    # One sort of one integer: the row above, the score below, its bits turned so that better is less.
    keys = rows.astype(np.uint64) << np.uint64(32) | descending(scores)
    order = np.argsort(keys)
    ranked = keys[order]
    row_of = ranked >> np.uint64(32)
    starts = np.flatnonzero(np.r_[True, row_of[1:] != row_of[:-1]])
    sizes = np.diff(np.r_[starts, len(ranked)])
    full = sizes >= k
    kth = starts[full] + k - 1
    if limits is not None:
        full_rows = row_of[kth].astype(np.int64)
        limits[full_rows] = np.maximum(limits[full_rows], scores[order[kth]])
    cuts = np.full(len(starts), np.iinfo(np.uint64).max)
    cuts[full] = ranked[kth]
    cuts = np.repeat(cuts, sizes)
    listed = ranked < cuts
    # Entries equal to the k-th take the places that the better ones leave, the lower index first.
    tied = np.flatnonzero(ranked == cuts)
    tied = tied[np.lexsort((others[order[tied]], ranked[tied]))]
    better_before = np.cumsum(listed) - np.repeat(np.cumsum(listed)[starts] - listed[starts], sizes)
    listed[tied[_rank_in_run(ranked[tied]) < k - better_before[tied]]] = True
    mask = np.empty(len(rows), bool)
    mask[order] = listed
    return mask


def _rank_in_run(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each of some sorted values, how many equal ones stand before it."""
    places = np.arange(len(values))
    begins = np.r_[True, values[1:] != values[:-1]][: len(values)]
    return places - np.maximum.accumulate(np.where(begins, places, 0))


def descending(scores: Scores) -> NDArray[np.uint64]:
    """Scores as integers that sort the other way round: the best score is the least integer.

    Examples
    --------
    >>> np.argsort(descending(np.array([-1.0, 2.0, 0.5], np.float32))).tolist()
    [1, 2, 0]
    """
    bits = scores.view(np.uint32)
    ascending = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (~ascending).astype(np.uint64)
