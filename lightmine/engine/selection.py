"""Which candidates may still be in the answer: running limits, and the selection that raises them.

`Candidates` holds exactly scored pairs. From time to time it drops those that cannot be in the answer
any more, and raises the limits under which workers need not propose pairs at all. Limits only follow
from pairs that were seen (but for an estimated min_score, which the join checks).
"""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.engine.spec import JoinSpec, Pairs, SelectedPairs
from lightmine.engine.tuning import DEFAULT_TUNING, Tuning
from lightmine.errors import BudgetError
from lightmine.results import Indices, Mask
from lightmine.system.memory import trim_heap

Scores = NDArray[np.float32]

MINUS_INFINITY = np.float32(-np.inf)


@dataclasses.dataclass
class ScoreBounds:
    """Scores under which a pair cannot be in the answer; they only rise.

    A pair can be dropped if its score is under `min_score`, or under both its rows' limits. `left` and
    `right` are one array in one collection, and ``None`` where that side lists nothing.
    """

    min_score: np.float32
    left: Scores | None
    right: Scores | None

    def admit(self, left: Indices, right: Indices, scores: NDArray[np.floating[Any]]) -> Mask:
        """Which scored pairs can still be in the answer."""
        listed = np.zeros(len(scores), bool) if self.left is not None or self.right is not None else True
        if self.left is not None:
            listed |= scores >= self.left[left]
        if self.right is not None:
            listed |= scores >= self.right[right]
        mask: Mask = (scores >= self.min_score) & listed
        return mask


class Candidates:
    """Scored pairs that may be in the answer; shared by all workers."""

    def __init__(self, spec: JoinSpec, *, capacity: int, tuning: Tuning = DEFAULT_TUNING) -> None:
        self.spec, self.capacity, self.tuning = spec, capacity, tuning
        min_score = np.float32(spec.min_score)
        # A threshold between two float32 numbers is met from the upper one on.
        min_score = (
            min_score if float(min_score) >= spec.min_score else np.nextafter(min_score, np.float32(np.inf))
        )
        min_score = _limit(min_score)
        left = np.full(spec.n, MINUS_INFINITY) if spec.k_left else None
        right = np.full(spec.m, MINUS_INFINITY) if spec.k_right else None
        self.limits = ScoreBounds(min_score, left, left if spec.self_join else right)
        self._changed = threading.Condition()
        self._selecting = False
        self._parts: list[Pairs] = []
        self._taken: list[Pairs] = []
        self._count = 0
        self._settled = 0

    def offer(self, left: Indices, right: Indices, scores: Scores) -> None:
        """Add scored pairs; select when enough have come since the last time.

        One worker selects beside the others, who may add but not select meanwhile. What it drops
        and the limits it raises follow from the pairs that it was given, whatever else has come.
        """
        admitted = self.limits.admit(left, right, scores)
        if self.spec.max_score < np.inf:
            admitted &= scores.astype(np.float64) <= self.spec.max_score
        left, right = left[admitted].astype(np.int32), right[admitted].astype(np.int32)
        with self._changed:
            self._parts.append(Pairs(left, right, scores[admitted]))
            self._count += len(left)
        while taken := self._take():
            kept = None
            try:
                kept = self._selected(_concatenate(taken)).pairs
            finally:
                with self._changed:
                    self._selecting, self._taken = False, []
                    self._parts.append(_concatenate(taken) if kept is None else kept)
                    self._settled = len(self._parts[-1])
                    self._count = sum(map(len, self._parts))
                    self._changed.notify_all()
            if sum(map(len, taken)) > self.tuning.trim_over:
                taken.clear()
                trim_heap()

    def _take(self) -> list[Pairs]:
        """The pairs to select from, if it is time and no other worker selects; waits if there is no room."""
        with self._changed:
            while self._selecting and self._count > self.capacity:
                self._changed.wait()
            if not self.spec.bounded() and self._count > self.capacity:
                raise BudgetError(
                    f"over {self.capacity:,} pairs qualify, more than the memory_budget holds; "
                    "raise the threshold, set max_pairs, or raise memory_budget"
                )
            # Selecting costs as much as is held: wait for as much again, and not past the capacity.
            due = max(self.tuning.select_every, 2 * self._settled)
            if self._selecting or not self.spec.bounded() or self._count <= min(due, self.capacity):
                return []
            self._selecting = True
            self._taken, self._parts = self._parts, []
            return self._taken

    def held(self) -> list[Pairs]:
        """Every pair that may still be in the answer, as parts that do not change any more."""
        with self._changed:
            return [*self._parts, *self._taken, _concatenate([])]

    def restore(
        self, parts: list[Pairs], limits: tuple[Scores | None, Scores | None], min_score: np.float32
    ) -> None:
        """Resume from what another run held, and the limits that followed from it."""
        left, right = limits
        self.limits = ScoreBounds(min_score, left, left if self.spec.self_join else right)
        self._parts, self._count = parts, sum(map(len, parts))

    def answer(self) -> SelectedPairs:
        """The pairs of the answer, in the canonical order."""
        kept = self._selected(_concatenate(self._parts))
        order = np.lexsort((kept.pairs.right, kept.pairs.left, -kept.pairs.score))
        best = kept[order[: self.spec.max_pairs]]
        left, right = best.pairs.left.astype(np.int64), best.pairs.right.astype(np.int64)
        return SelectedPairs(Pairs(left, right, best.pairs.score), best.by_left, best.by_right)

    def _selected(self, pairs: Pairs) -> SelectedPairs:
        """Drop what cannot be in the answer any more, and raise the limits."""
        kept = self._listed(pairs)
        kept = kept[kept.by_left | kept.by_right]
        return kept if self.spec.max_pairs is None else self._best(kept, self.spec.max_pairs)

    def _listed(self, pairs: Pairs) -> SelectedPairs:
        """Which pairs are in the list of their left row, and of their right row."""
        spec, limits = self.spec, self.limits
        if limits.left is None and limits.right is None:
            return SelectedPairs(pairs, np.ones(len(pairs), bool), np.ones(len(pairs), bool))
        if spec.self_join:
            # Both ends list into the same rows: one selection over twice the entries.
            rows, others = np.r_[pairs.left, pairs.right], np.r_[pairs.right, pairs.left]
            listed = top_k(rows, others, np.r_[pairs.score, pairs.score], spec.k_left, limits.left)
            return SelectedPairs(pairs, listed[: len(pairs)], listed[len(pairs) :])
        by_left = top_k(pairs.left, pairs.right, pairs.score, spec.k_left, limits.left)
        by_right = top_k(pairs.right, pairs.left, pairs.score, spec.k_right, limits.right)
        return SelectedPairs(pairs, by_left, by_right)

    def _best(self, kept: SelectedPairs, max_pairs: int) -> SelectedPairs:
        """The best pairs, without those that cannot be among the best `max_pairs` of the answer.

        A pair can still lose its place in a list to a better one, so counting listed pairs would drop too
        many. Counting listings does not: a row that lists c pairs at or above some place in the
        order will always list at least c, and 2·max_pairs listings are max_pairs pairs or more.
        """
        need = 2 * max_pairs
        listings = np.r_[kept.pairs.score[kept.by_left], kept.pairs.score[kept.by_right]]
        if len(listings) <= need:
            return kept
        min_score = np.partition(listings, len(listings) - need)[len(listings) - need]
        self.limits.min_score = max(self.limits.min_score, _limit(min_score))
        best = kept[kept.pairs.score >= min_score]
        if len(best.pairs) <= need:
            return best
        # Many equal scores at the last place: the whole order decides which of them can be in the answer.
        order = np.lexsort((best.pairs.right, best.pairs.left, -best.pairs.score))
        counts = np.cumsum(best.by_left[order].astype(np.int64) + best.by_right[order])
        return best[order[: int(np.searchsorted(counts, need)) + 1]]


def _concatenate(parts: list[Pairs]) -> Pairs:
    if not parts:
        return Pairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    return Pairs(
        np.concatenate([part.left for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.score for part in parts]),
    )


def top_k(
    rows: Indices, others: Indices, scores: Scores, k: int | None, limits: Scores | None = None
) -> Mask:
    """Which entries are among the best k of their row; equal scores: the lower `others` first.

    Parameters
    ----------
    rows, others : integer arrays of shape (e,), from 0 to 2^31 - 1
    scores : float32 array of shape (e,), no NaN and no negative zero
    k : int or None
        None lists nothing.
    limits : float32 array, optional
        ``limits[row]`` is raised to the k-th best score of each row that has more than k entries.

    Returns
    -------
    bool array of shape (e,)

    Examples
    --------
    >>> rows, others = np.array([0, 0, 0, 1], np.int32), np.array([3, 2, 1, 0], np.int32)
    >>> top_k(rows, others, np.array([0.5, 0.5, 0.9, 0.1], np.float32), 2)
    array([False,  True,  True,  True])
    """
    if k is None or not len(rows):
        return np.zeros(len(rows), bool)
    crowded = np.flatnonzero((np.bincount(rows) > k)[rows])
    mask = np.ones(len(rows), bool)
    if len(crowded):
        mask[crowded] = _best_of_crowded(rows[crowded], others[crowded], scores[crowded], k, limits)
    return mask


def _best_of_crowded(rows: Indices, others: Indices, scores: Scores, k: int, limits: Scores | None) -> Mask:
    """`top_k` if every row has more than k entries."""
    # One sort of one integer: the row above, the score below, its bits inverted so that better is less.
    keys = rows.astype(np.uint64) << np.uint64(32) | descending(scores)
    ranked = np.sort(keys)
    row_of = ranked >> np.uint64(32)
    kth = ranked[np.flatnonzero(np.r_[True, row_of[1:] != row_of[:-1]]) + k - 1]
    last = np.zeros(int(row_of[-1]) + 1, np.uint64)
    last[kth >> np.uint64(32)] = kth
    own = last[rows]
    listed: Mask = keys < own
    tied = np.flatnonzero(keys == own)
    if limits is not None:
        limits[rows[tied]] = np.maximum(limits[rows[tied]], _limit(scores[tied]))
    # Entries equal to the k-th take the places that the better ones leave, the lower index first.
    left = k - np.bincount(rows[listed], minlength=len(last))
    contested = (np.bincount(rows[tied], minlength=len(last)) > left)[rows[tied]]
    listed[tied[~contested]] = True
    tied = tied[contested]
    tied = tied[np.lexsort((others[tied], rows[tied]))]
    listed[tied[rank_in_run(rows[tied]) < left[rows[tied]]]] = True
    return listed


def _limit(score: Any) -> Any:
    """Scores as limits that rejected pairs are under.

    A score of -1 may have been clipped up to it, and the bound that rejects a pair is of its product. So -1
    is no limit at all, which rejects nothing more: no score is under it.
    """
    return np.where(score > -1, score, MINUS_INFINITY)[()]


def rank_in_run(values: Indices) -> Indices:
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
