"""Workers: the pairs of tiles are bounded, rejected or scored exactly, and offered to the candidates."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from lightmine.engine.bounds import BoundStage, Kernel
from lightmine.engine.checkpoint import State
from lightmine.engine.matmul import Raw
from lightmine.engine.matrix import FloatMatrix, PairScorer
from lightmine.engine.quantization import RowOrder
from lightmine.engine.selection import Candidates, Scores
from lightmine.engine.tiling import Plan
from lightmine.results import Mask


class SharedState:
    """What all workers share."""

    def __init__(
        self,
        x: FloatMatrix,
        y: FloatMatrix,
        kernel: Kernel,
        candidates: Candidates,
        plan: Plan,
        state: State | None,
    ) -> None:
        self.x, self.y, self.kernel, self.candidates, self.plan = x, y, kernel, candidates, plan
        blocks = -(-plan.n // plan.rows), -(-plan.m // plan.columns)
        self._finished = np.zeros(blocks, bool) if state is None else state.done
        self.done = (
            0 if state is None else sum(_pairs(*tile) for tile in plan.tiles() if self._is_done(*tile))
        )
        self._lock = threading.Lock()

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """The tiles that are left to do."""
        return (tile for tile in self.kernel.hardest_first(self.plan.tiles) if not self._is_done(*tile))

    def finish(self, rows: slice, columns: slice) -> None:
        """A tile is done: all that it proposes was offered."""
        with self._lock:
            self.done += _pairs(rows, columns)
            self._finished[rows.start // self.plan.rows, columns.start // self.plan.columns] = True

    def state(self) -> State:
        """How far the job has come."""
        with self._lock:
            finished = self._finished.copy()
        # Only now what was found: it holds all that these tiles proposed.
        limits, orders = self.candidates.limits, [side.order for side in self.kernel.sides]
        return State(
            self.candidates.spec.min_score, limits.min_score,
            None if orders[0] is None or orders[1] is None else (orders[0], orders[1]),
            (_copy(limits.left), None if self.plan.self_join else _copy(limits.right)),
            finished, self.candidates.held(),
        )  # fmt: skip

    def _is_done(self, rows: slice, columns: slice) -> bool:
        return bool(self._finished[rows.start // self.plan.rows, columns.start // self.plan.columns])


def _copy(limits: Scores | None) -> Scores | None:
    return None if limits is None else limits.copy()


def _pairs(rows: slice, columns: slice) -> int:
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


class Worker:
    """One worker: proposes, scores and offers the pairs of tiles."""

    def __init__(self, shared: SharedState) -> None:
        self.shared, self.kernel, self.limits = shared, shared.kernel, shared.candidates.limits
        self.tuning = shared.candidates.tuning
        size = shared.plan.size
        self.scorer = shared.kernel.scorer(size)
        self.pairs = PairScorer(shared.x, shared.y, chunk_bytes=self.tuning.chunk_bytes)
        self.flags, self.other = np.empty(size, bool), np.empty(size, bool)

    def mine(self, tile: tuple[slice, slice]) -> None:
        """Do one tile."""
        rows, columns = tile
        first = self.kernel.number(rows, columns)
        for number in range(first, len(self.kernel.stages)):
            bound_stage = self.kernel.stages[number]
            raw = self.scorer.scores(number, rows, columns)
            hits = np.flatnonzero(self._flags(bound_stage, raw, rows, columns))
            if len(hits) <= raw.size * self.tuning.many_hits:
                break
        step = self.tuning.survivors_at_once
        for start in range(0, len(hits), step):
            self._offer(bound_stage, raw, hits[start : start + step], rows, columns)
        self.shared.finish(rows, columns)

    def _flags(self, bound_stage: BoundStage, raw: Raw, rows: slice, columns: slice) -> Mask:
        """Which raw scores may belong to the answer: over min_score, and over a limit of either end."""
        kernel, limits = self.kernel, self.limits
        flags = self.flags[: raw.size].reshape(raw.shape)
        left = None if limits.left is None else limits.left[kernel.left_rows(rows)]
        right = None if limits.right is None else limits.right[kernel.right_rows(columns)]
        # Compare with the lowest limit of all first: most tiles then have few hits, which `_offer` checks
        # pair by pair.
        lowest = min((side.min() for side in (left, right) if side is not None), default=limits.min_score)
        np.greater_equal(raw, bound_stage.raw_threshold(max(lowest, limits.min_score)), out=flags)
        if lowest <= limits.min_score or np.count_nonzero(flags) < flags.size * self.tuning.few_hits:
            return flags
        if left is not None:
            np.greater_equal(
                raw, bound_stage.raw_threshold(np.maximum(left, limits.min_score))[:, None], out=flags
            )
        if right is not None:
            other = flags if left is None else self.other[: raw.size].reshape(raw.shape)
            np.greater_equal(raw, bound_stage.raw_threshold(np.maximum(right, limits.min_score)), out=other)
            flags |= other
        return flags

    def _offer(self, bound_stage: BoundStage, raw: Raw, hits: RowOrder, rows: slice, columns: slice) -> None:
        """Reject single pairs by ever tighter bounds; score the others exactly and offer them."""
        shared = self.shared
        left, right = np.divmod(hits, columns.stop - columns.start)
        left += rows.start
        right += columns.start
        if shared.plan.self_join and columns.start < rows.stop:
            ascending = left < right
            left, right, hits = left[ascending], right[ascending], hits[ascending]
        bounds = bound_stage.upper_bound(raw.ravel()[hits])
        left, right = self.kernel.left_rows(left), self.kernel.right_rows(right)
        admitted = self.limits.admit(left, right, bounds)
        left, right = left[admitted], right[admitted]
        if shared.plan.self_join:
            # The order of compressed rows is not that of the matrix.
            left, right = np.minimum(left, right), np.maximum(left, right)
        if shared.plan.compressed:
            scores = self.pairs.rough(left, right)
            admitted = self.limits.admit(left, right, scores + np.float32(self.pairs.slack))
            left, right = left[admitted], right[admitted]
        if len(left):
            shared.candidates.offer(left, right, self.pairs.exact(left, right))
