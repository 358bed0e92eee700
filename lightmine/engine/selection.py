"""Which candidates may still be in the answer: running bounds of scores, and the selection that raises them.

A `JoinSpec` says what the answer is. `Candidates` holds exactly scored pairs. From time to time it drops
those that the answer cannot have any more, and raises the bounds under which workers need not propose pairs
at all. Bounds only follow from pairs that were seen; only the estimated lowest score does not, and
`SimilarityJoin` checks that.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import native
from lightmine.engine.spec import JoinSpec, Pairs, SelectedPairs
from lightmine.engine.tuning import Tuning
from lightmine.errors import BudgetError
from lightmine.results import Indices, Mask
from lightmine.system.memory import trim_heap

Scores = NDArray[np.float32]

MINUS_INFINITY = np.float32(-np.inf)


class ScoreBounds:
    """Scores under which a pair cannot be in the answer.

    A pair can be dropped if its score is under `min_score`, or under the bounds of both its rows.

    Attributes
    ----------
    lowest : float32 array of shape (1,)
        `min_score`, where the kernel can read it.
    left, right : float32 arrays of shape (n,) and (m,), or None
        One array of a self join; None where that side lists nothing.
    """

    def __init__(self, min_score: np.float32, left: Scores | None, right: Scores | None) -> None:
        self.lowest = np.array([min_score], np.float32)
        self.left, self.right = left, right

    @property
    def min_score(self) -> np.float32:
        """The lowest score that a pair of the answer can have, as far as is known."""
        lowest: np.float32 = self.lowest[0]
        return lowest

    def raise_min_score(self, score: np.float32) -> None:
        """No pair under this score can be in the answer."""
        self.lowest[0] = max(self.lowest[0], score)

    def admit(self, left: Indices, right: Indices, scores: Scores) -> Mask:
        """Which scored pairs can still be in the answer."""
        listed = np.zeros(len(scores), bool) if self.left is not None or self.right is not None else True
        if self.left is not None:
            listed |= scores >= self.left[left]
        if self.right is not None:
            listed |= scores >= self.right[right]
        mask: Mask = (scores >= self.min_score) & listed
        return mask


class Candidates:
    """Scored pairs that may be in the answer; shared by all workers.

    Parameters
    ----------
    spec : JoinSpec
    capacity : int
        How many pairs may be held.
    tuning : Tuning
    kernel : native.Kernel, optional
        Selects in compiled code; without it NumPy does the same.
    """

    def __init__(
        self, spec: JoinSpec, *, capacity: int, tuning: Tuning, kernel: native.Kernel | None = None
    ) -> None:
        self.spec, self.capacity = spec, capacity
        self._tuning, self._kernel = tuning, kernel
        min_score = np.float32(spec.min_score)
        # A threshold between two float32 numbers is met from the upper one on.
        if float(min_score) < spec.min_score:
            min_score = np.nextafter(min_score, np.float32(np.inf))
        left = np.full(spec.n, MINUS_INFINITY) if spec.k_left else None
        right = np.full(spec.m, MINUS_INFINITY) if spec.k_right else None
        self.bounds = ScoreBounds(as_bound(min_score), left, left if spec.self_join else right)
        self._changed = threading.Condition()
        self._selecting = False
        self._parts: list[Pairs] = []
        self._taken: list[Pairs] = []
        self._count = 0
        self._settled = 0

    def offer(self, left: Indices, right: Indices, scores: Scores) -> None:
        """Add scored pairs that the bounds admit; select when enough have come since the last time.

        Selecting goes on beside the other workers, who may add but not select meanwhile. What it drops
        and the bounds it raises follow from the pairs that it was given, whatever else has come.
        """
        left, right = left.astype(np.int32, copy=False), right.astype(np.int32, copy=False)
        with self._changed:
            self._parts.append(Pairs(left, right, scores))
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
            if sum(map(len, taken)) > self._tuning.trim_over:
                taken.clear()
                trim_heap()

    def _take(self) -> list[Pairs]:
        """The pairs to select from, if it is time and nobody else does; waits where there is no room."""
        with self._changed:
            while self._selecting and self._count > self.capacity:
                self._changed.wait()
            if not self.spec.bounded() and self._count > self.capacity:
                raise BudgetError(
                    f"over {self.capacity:,} pairs qualify, more than the memory_budget holds; "
                    "raise the threshold, set max_pairs, or raise memory_budget"
                )
            # Selecting costs as much as is held: wait for as much again, and not past the capacity.
            due = max(self._tuning.select_every, 2 * self._settled)
            if self.bounds.min_score > -np.inf and self.spec.max_pairs is not None:
                # An estimate leaves not many more pairs than are wanted: a selection would drop few.
                due = max(due, 4 * self.spec.max_pairs)
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
        self, parts: list[Pairs], bounds: tuple[Scores | None, Scores | None], min_score: np.float32
    ) -> None:
        """Resume from what another run held, and the bounds that followed from it."""
        left, right = bounds
        self.bounds = ScoreBounds(min_score, left, left if self.spec.self_join else right)
        self._parts, self._count = parts, sum(map(len, parts))

    def answer(self) -> SelectedPairs:
        """The pairs of the answer, in the canonical order."""
        kept, most = self._selected(_concatenate(self._parts)), self.spec.max_pairs
        if most is not None and len(kept.pairs) > most:
            kept = kept[kept.pairs.score >= np.partition(kept.pairs.score, -most)[-most]]
        best = kept[canonical_order(kept.pairs, self._kernel)[:most]]
        left, right = best.pairs.left.astype(np.int64), best.pairs.right.astype(np.int64)
        return SelectedPairs(Pairs(left, right, best.pairs.score), best.by_left, best.by_right)

    def _selected(self, pairs: Pairs) -> SelectedPairs:
        """Drop what the answer cannot have any more, and raise the bounds."""
        kept = self._listed(pairs)
        kept = kept[kept.by_left | kept.by_right]
        return kept if self.spec.max_pairs is None else self._best(kept, self.spec.max_pairs)

    def _listed(self, pairs: Pairs) -> SelectedPairs:
        """Which pairs are in the list of their left row, and of their right row."""
        spec, bounds = self.spec, self.bounds
        if bounds.left is None and bounds.right is None:
            return SelectedPairs(pairs, np.ones(len(pairs), bool), np.ones(len(pairs), bool))
        if spec.self_join:
            # Both ends list into the same rows: one selection over twice the entries.
            rows, others = np.r_[pairs.left, pairs.right], np.r_[pairs.right, pairs.left]
            listed = self._top_k(rows, others, np.r_[pairs.score, pairs.score], spec.k_left, bounds.left)
            return SelectedPairs(pairs, listed[: len(pairs)], listed[len(pairs) :])
        by_left = self._top_k(pairs.left, pairs.right, pairs.score, spec.k_left, bounds.left)
        by_right = self._top_k(pairs.right, pairs.left, pairs.score, spec.k_right, bounds.right)
        return SelectedPairs(pairs, by_left, by_right)

    def _top_k(
        self, rows: Indices, others: Indices, scores: Scores, k: int | None, bounds: Scores | None
    ) -> Mask:
        if self._kernel is None or k is None or bounds is None or not len(rows):
            return top_k(rows, others, scores, k, bounds)
        return native.top_k(self._kernel, rows, others, scores, k, bounds, len(bounds))

    def _best(self, kept: SelectedPairs, max_pairs: int) -> SelectedPairs:
        """The best pairs, cut where no later pair can be among the best `max_pairs` of the answer.

        A pair's listing can still be lost to a better one, so counting listed pairs would cut too
        early. Counting listings does not: a row that lists c pairs at or above some place in the
        order will always list at least c, and 2·max_pairs listings are max_pairs pairs or more.
        """
        need = 2 * max_pairs
        listings = np.r_[kept.pairs.score[kept.by_left], kept.pairs.score[kept.by_right]]
        if len(listings) <= need:
            return kept
        min_score = np.partition(listings, len(listings) - need)[len(listings) - need]
        self.bounds.raise_min_score(as_bound(min_score))
        best = kept[kept.pairs.score >= min_score]
        if len(best.pairs) <= need:
            return best
        # Many equal scores at the cut: the whole order decides which of them can be in the answer.
        order = canonical_order(best.pairs, self._kernel)
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
    rows: Indices, others: Indices, scores: Scores, k: int | None, bounds: Scores | None = None
) -> Mask:
    """Which entries are among the best k of their row; equal scores: the lower `others` first.

    Parameters
    ----------
    rows, others : integer arrays of shape (e,), from 0 to 2^31 - 1
    scores : float32 array of shape (e,), no NaN and no negative zero
    k : int or None
        None lists nothing.
    bounds : float32 array, optional
        ``bounds[row]`` is raised to the k-th best score of each row that has more than k entries.

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
        mask[crowded] = _best_of_crowded(rows[crowded], others[crowded], scores[crowded], k, bounds)
    return mask


def _best_of_crowded(rows: Indices, others: Indices, scores: Scores, k: int, bounds: Scores | None) -> Mask:
    """`top_k` where every row has more than k entries."""
    # One sort of one integer: the row above, the score below, its bits changed so that better is less.
    keys = rows.astype(np.uint64) << np.uint64(32) | descending(scores).astype(np.uint64)
    ranked = np.sort(keys)
    row_of = ranked >> np.uint64(32)
    kth = ranked[np.flatnonzero(np.r_[True, row_of[1:] != row_of[:-1]]) + k - 1]
    kths = np.zeros(int(row_of[-1]) + 1, np.uint64)
    kths[kth >> np.uint64(32)] = kth
    own = kths[rows]
    listed: Mask = keys < own
    tied = np.flatnonzero(keys == own)
    if bounds is not None:
        bounds[rows[tied]] = np.maximum(bounds[rows[tied]], as_bound(scores[tied]))
    # Entries equal to the k-th take the places that the better ones leave, the lower index first.
    left = k - np.bincount(rows[listed], minlength=len(kths))
    contested = (np.bincount(rows[tied], minlength=len(kths)) > left)[rows[tied]]
    listed[tied[~contested]] = True
    tied = tied[contested]
    tied = tied[np.lexsort((others[tied], rows[tied]))]
    listed[tied[rank_in_run(rows[tied]) < left[rows[tied]]]] = True
    return listed


def canonical_order(pairs: Pairs, kernel: native.Kernel | None) -> Indices:
    """Where pairs stand in the canonical order: score descending, then left, then right."""
    if kernel is None:
        return np.lexsort((pairs.right, pairs.left, -pairs.score))
    return native.order(
        kernel, descending(pairs.score), pairs.left.view(np.uint32), pairs.right.view(np.uint32)
    )


def as_bound(score: Any) -> Any:
    """Scores as bounds that rejected pairs are under.

    A score of -1 may have been cut up to it, and the bound that rejects a pair is of its uncut product. So -1
    is no bound at all, which rejects nothing more: no score is under it.
    """
    return np.where(score > -1, score, MINUS_INFINITY)[()]


def rank_in_run(values: Indices) -> Indices:
    """For each of some sorted values, how many equal ones stand before it."""
    places = np.arange(len(values))
    begins = np.r_[True, values[1:] != values[:-1]][: len(values)]
    return places - np.maximum.accumulate(np.where(begins, places, 0))


def descending(scores: Scores) -> NDArray[np.uint32]:
    """Scores as integers that sort the other way round: the best score is the least integer.

    Examples
    --------
    >>> np.argsort(descending(np.array([-1.0, 2.0, 0.5], np.float32))).tolist()
    [1, 2, 0]
    """
    bits = scores.view(np.uint32)
    ascending = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return ~ascending
