"""Which candidates may still be in the answer: running bounds of scores, and the selection that raises them.

A `JoinSpec` says what the answer is. `Candidates` holds exactly scored pairs. From time to time it drops
those that the answer cannot have any more, and raises the bounds under which workers need not propose pairs
at all. Bounds only follow from pairs that were seen; only the estimated lowest score does not, and
`SimilarityJoin` checks that.
"""

from __future__ import annotations

import threading

import numpy as np

from lightmine.engine import native
from lightmine.engine.spec import JoinSpec, Pairs, SelectedPairs
from lightmine.engine.top_k import MINUS_INFINITY, Scores, as_bound, descending, top_k
from lightmine.engine.tuning import Tuning
from lightmine.errors import BudgetError
from lightmine.results import Indices, Mask
from lightmine.system.memory import trim_heap


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


def canonical_order(pairs: Pairs, kernel: native.Kernel | None) -> Indices:
    """Where pairs stand in the canonical order: score descending, then left, then right."""
    if kernel is None:
        return np.lexsort((pairs.right, pairs.left, -pairs.score))
    return native.order(
        kernel, descending(pairs.score), pairs.left.view(np.uint32), pairs.right.view(np.uint32)
    )
