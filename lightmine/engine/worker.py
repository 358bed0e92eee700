"""Workers: each takes tiles, rejects pairs that cannot be in the answer, scores and offers the others."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import native
from lightmine.engine.checkpoint import State
from lightmine.engine.matrix import ROUNDING, FloatMatrix, PairScorer, score_error
from lightmine.engine.quantization import CompressedRows
from lightmine.engine.selection import Candidates
from lightmine.engine.tiling import Plan
from lightmine.engine.top_k import Scores, as_bound
from lightmine.engine.tuning import Tuning
from lightmine.results import Indices

Tile = tuple[slice, slice]


class SharedState:
    """What all workers of a job share."""

    def __init__(
        self, x: FloatMatrix, y: FloatMatrix, candidates: Candidates, plan: Plan, tuning: Tuning,
        state: State | None = None,
    ) -> None:  # fmt: skip
        self.x, self.y, self.candidates, self.plan, self.tuning = x, y, candidates, plan, tuning
        blocks = -(-plan.n // plan.rows), -(-plan.m // plan.columns)
        self._finished = np.zeros(blocks, bool) if state is None else state.done
        self.done = (
            0 if state is None else sum(_pairs(*tile) for tile in plan.tiles() if self._is_done(*tile))
        )
        self._lock = threading.Lock()

    def tiles(self) -> Iterator[Tile]:
        """Those that are left to do."""
        return (tile for tile in self.plan.tiles() if not self._is_done(*tile))

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
        bounds = self.candidates.bounds
        return State(
            self.candidates.spec.min_score, bounds.min_score,
            (_copy(bounds.left), None if self.plan.self_join else _copy(bounds.right)),
            finished, self.candidates.held(),
        )  # fmt: skip

    def _is_done(self, rows: slice, columns: slice) -> bool:
        return bool(self._finished[rows.start // self.plan.rows, columns.start // self.plan.columns])


def _copy(bounds: Scores | None) -> Scores | None:
    return None if bounds is None else bounds.copy()


def _pairs(rows: slice, columns: slice) -> int:
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


class Worker(Protocol):
    """One worker; its buffers are not to be shared."""

    def mine(self, tile: Tile) -> None:
        """Offer all pairs of a tile that may be in the answer."""


class NumpyWorker:
    """Rejects pairs by float32 products, which are within `score_error` of their scores."""

    def __init__(self, shared: SharedState) -> None:
        self._shared = shared
        self._scorer = PairScorer(shared.x, shared.y, chunk_bytes=shared.tuning.chunk_bytes)
        size = shared.plan.size
        self._products, self._flags = np.empty(size, np.float32), np.empty(size, bool)
        self._slack = np.float32(score_error(shared.x.shape[1]))

    def mine(self, tile: Tile) -> None:
        """See `Worker`."""
        shared, (rows, columns) = self._shared, tile
        shape = rows.stop - rows.start, columns.stop - columns.start
        products = self._products[: shape[0] * shape[1]].reshape(shape)
        # Rows with themselves are multiplied by syrk of BLAS. In OpenBLAS 0.3.31 it multiplies what was
        # there by zero on ARM processors with SVE or SME: what was not a number stays so.
        products.fill(0)
        np.matmul(shared.x[rows], shared.y[columns].T, out=products)
        if shared.plan.self_join and columns.start < rows.stop:
            # Only pairs above the diagonal count. Not a number is over no limit, not even minus infinity.
            below = np.arange(rows.start, rows.stop)[:, None] >= np.arange(columns.start, columns.stop)
            products[below] = np.nan
        flags = self._passing(products, rows, columns)
        if self._tighten(products, flags, rows, columns):
            flags = self._passing(products, rows, columns)
        hits = np.flatnonzero(flags)
        step = shared.tuning.survivors_at_once
        for start in range(0, len(hits), step):
            left, right = np.divmod(hits[start : start + step], shape[1])
            left += rows.start
            right += columns.start
            self._offer(left, right)
        shared.finish(rows, columns)

    def _offer(self, left: Indices, right: Indices) -> None:
        candidates = self._shared.candidates
        scores = self._scorer.exact(left, right)
        admitted = candidates.bounds.admit(left, right, scores)
        admitted &= scores.astype(np.float64) <= candidates.spec.max_score
        if admitted.any():
            candidates.offer(left[admitted], right[admitted], scores[admitted])

    def _passing(self, products: NDArray[np.float32], rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Which pairs may reach the lowest score, and the bound of either end."""
        bounds = self._shared.candidates.bounds
        flags = self._flags[: products.size].reshape(products.shape)
        limits: list[Any] = []
        if bounds.left is not None:
            limits.append(np.maximum(bounds.left[rows], bounds.min_score)[:, None])
        if bounds.right is not None:
            limits.append(np.maximum(bounds.right[columns], bounds.min_score))
        if len(limits) == 2:
            limits = [np.minimum(*limits)]
        np.greater_equal(products, (limits[0] if limits else bounds.min_score) - self._slack, out=flags)
        return flags

    def _tighten(
        self, products: NDArray[np.float32], flags: NDArray[np.bool_], rows: slice, columns: slice
    ) -> bool:
        """Raise the bounds of rows with many passing pairs to their k-th best product here, less its error.

        Without this every pair of the first tiles would be scored exactly. Returns whether a bound was
        raised.
        """
        spec, bounds = self._shared.candidates.spec, self._shared.candidates.bounds
        sides = [(bounds.left, rows, spec.k_left, products, flags)]
        if bounds.right is not None:
            k = spec.k_left if spec.self_join else spec.k_right
            sides.append((bounds.right, columns, k, products.T, flags.T))
        raised = False
        for own, part, k, table, passing in sides:
            if own is None or k is None or k >= table.shape[1]:
                continue
            many = np.flatnonzero(np.count_nonzero(passing, axis=1) > 2 * k)
            if not len(many):
                continue
            some = np.where(passing[many], table[many], -np.inf).astype(np.float32)
            # What may be over max_score counts for nothing.
            some[some.astype(np.float64) > spec.max_score - float(self._slack)] = -np.inf
            some.partition(some.shape[1] - k, axis=1)
            best = as_bound(np.minimum(some[:, some.shape[1] - k] - self._slack, 1))
            own[part.start + many] = np.maximum(own[part.start + many], best)
            raised = True
        return raised


class NativeWorker:
    """Rejects pairs by upper bounds from compressed rows, in the compiled kernel."""

    def __init__(self, shared: SharedState, join: NativeJoin) -> None:
        self._shared, self._join = shared, join
        library = join.kernel.library
        self._scratch = np.zeros(library.lightmine_scratch(shared.plan.rows, join.width), np.uint8)
        self._capacity = shared.tuning.found_capacity + int(library.lightmine_tile_pairs())
        self._left, self._right = (np.empty(self._capacity, np.int32) for _ in range(2))
        self._score = np.empty(self._capacity, np.float32)
        self._cursor, self._counts = np.zeros(1, np.int64), np.zeros(3, np.int64)

    def mine(self, tile: Tile) -> None:
        """See `Worker`."""
        rows, columns = tile
        self._cursor[0] = 0
        while self._cursor[0] >= 0:
            count = self._join.strip(
                rows, columns, self._cursor, self._scratch, self._left, self._right, self._score, self._counts
            )
            if count:
                self._shared.candidates.offer(
                    self._left[:count].copy(), self._right[:count].copy(), self._score[:count].copy()
                )
        self._shared.finish(rows, columns)


class NativeJoin:
    """A job's arrays as the kernel takes them; keeps them alive.

    Parameters
    ----------
    kernel : native.Kernel
    x, y : float32 arrays of shape (n, d) and (m, d), unit rows
    left, right : CompressedRows
    candidates : Candidates
    best_scores : bool
        Whether the kernel keeps the k best scores of each row, so that each pair raises the bounds at once.
    """

    def __init__(
        self, kernel: native.Kernel, x: FloatMatrix, y: FloatMatrix, left: CompressedRows,
        right: CompressedRows, candidates: Candidates, *, best_scores: bool,
    ) -> None:  # fmt: skip
        spec, bounds, params = candidates.spec, candidates.bounds, left.params
        self.kernel, self.width = kernel, params.width
        self._n, self._m = len(x), len(y)
        self._kept: list[Any] = [x, y, left, right, candidates]
        self._struct = native.Join(
            max_score=spec.max_score, unit=params.unit, slack=ROUNDING, rough_slack=score_error(x.shape[1]),
            components=params.width, dimension=x.shape[1], left_k=spec.k_left or 0,
            right_k=(spec.k_left if spec.self_join else spec.k_right) or 0, self_join=int(spec.self_join),
            variant=kernel.number,
        )  # fmt: skip
        d = x.shape[1]
        if spec.self_join and self._n != self._m:
            raise ValueError("a collection joined with itself has one number of rows")
        self._set("x", x, np.float32, self._n * d)
        self._set("y", y, np.float32, self._m * d)
        for name, side, count in (("left", left, self._n), ("right", right, self._m)):
            fits = count <= len(side.errors) and 0 <= side.rows.min() <= side.rows.max() < count
            if not fits or side.params is not params or params.dimension != d or params.qmax > kernel.qmax:
                raise ValueError("compressed rows are of another matrix, or for another kernel")
            places = len(side.errors)
            self._set(f"{name}_panels", side.panels, np.int8, places * params.width)
            self._set(f"{name}_errors", side.errors, np.int32, places)
            self._set(f"{name}_rows", side.rows, np.int32, places)
        self._set("right_sums", right.sums, np.int32, len(right.errors))
        self._set("min_score", bounds.lowest, np.float32, 1, writable=True)
        self._set("locks", np.zeros(native.LOCKS, np.uint8), np.uint8, native.LOCKS, writable=True)
        ends = [("left", bounds.left, spec.k_left, self._n)]
        ends.append(("right", bounds.right, self._struct.right_k, self._m))
        best = None
        for name, own, k, count in ends:
            if own is None or not k:
                continue
            self._set(f"{name}_bounds", own, np.float32, count, writable=True)
            if best_scores:
                if best is None or not spec.self_join:
                    best = np.empty(count * k, np.float32), np.zeros(count, np.int32)
                self._set(f"{name}_best", best[0], np.float32, count * k, writable=True)
                self._set(f"{name}_counts", best[1], np.int32, count, writable=True)

    def _set(
        self, name: str, array: NDArray[Any], kind: type[np.generic], size: int, *, writable: bool = False
    ) -> None:
        self._kept.append(array)
        setattr(self._struct, name, native.pointer(array, kind, size, writable=writable))

    def strip(
        self, rows: slice, columns: slice, cursor: NDArray[np.int64], scratch: NDArray[np.uint8],
        left: Indices, right: Indices, score: Scores, counts: NDArray[np.int64],
    ) -> int:  # fmt: skip
        """One call of the kernel: goes on from the cursor, which is -1 once the tile is done."""
        library = self.kernel.library
        needed = int(library.lightmine_scratch(max(rows.stop - rows.start, 0), self.width))
        fits = 0 <= rows.start < rows.stop <= self._n and 0 <= columns.start < columns.stop <= self._m
        # Panels are read in pairs, and the compressed rows end with a pair.
        if not fits or columns.start % (2 * native.PANEL) or cursor[0] < 0:
            raise ValueError("the tile is not one of this join")
        capacity = min(len(left), len(right), len(score))
        if capacity < library.lightmine_tile_pairs():
            raise ValueError("the pairs of one tile may not fit")
        return int(library.lightmine_strip(
            ctypes.addressof(self._struct), rows.start, rows.stop, columns.start, columns.stop,
            native.pointer(cursor, np.int64, 1, writable=True),
            native.pointer(scratch, np.uint8, needed, writable=True),
            native.pointer(left, np.int32, capacity, writable=True),
            native.pointer(right, np.int32, capacity, writable=True),
            native.pointer(score, np.float32, capacity, writable=True), capacity,
            native.pointer(counts, np.int64, 3, writable=True),
        ))  # fmt: skip
