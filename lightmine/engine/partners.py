"""How many partners rows have within limits of the score, in float32 tiles and bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from lightmine.engine import pool
from lightmine.engine.job import Job
from lightmine.engine.matrix import FloatMatrix, PairScorer, score_error
from lightmine.results import Indices
from lightmine.system.threads import default_threads

Limits = tuple[float, float]


def score_limits(threshold: float | None, max_score: float | None) -> Limits:
    """The lowest and the highest score as a counter wants them.

    Scores end at -1 and 1, products in float32 do not: limits there are none.
    """
    return (
        -math.inf if threshold is None or threshold <= -1 else threshold,
        math.inf if max_score is None or max_score >= 1 else max_score,
    )


class PartnerCounter:
    """Counts, for each of some rows, the partners among some others that score within limits.

    Attributes
    ----------
    limits : (float, float)
        The lowest and the highest score, infinite where there is none.
    rows, dimension : int
        Of the left side.
    self_join : bool
    """

    def __init__(
        self, x: FloatMatrix, other: FloatMatrix | None, limits: Limits, *, budget: int, job: Job
    ) -> None:
        self.limits, self.self_join = limits, other is None
        self._x, self._y = x, x if other is None else other
        self.rows, self.dimension = x.shape
        self._slack = score_error(self.dimension)
        # With little memory, first fewer workers, then smaller tiles.
        tuning = self.tuning = job.tuning
        largest, smallest = tuning.count_largest_tile, tuning.count_smallest_tile
        pair_bytes, scorer_bytes = tuning.count_bytes_per_pair, tuning.count_scorer_bytes
        share = scorer_bytes + largest[0] * largest[0] * pair_bytes
        self._workers = max(1, min(job.threads or default_threads(), budget // share))
        room, row_bytes = budget // self._workers - scorer_bytes, 4 * self.dimension
        large = room >= largest[0] * (largest[0] * pair_bytes + 2 * row_bytes)
        self._strip = largest[0] if large else smallest[0]
        columns = (room - row_bytes * self._strip) // (self._strip * pair_bytes + row_bytes)
        self._columns = max(smallest[1], min(largest[1], columns))

    @property
    def everything(self) -> bool:
        """Whether every pair is within the limits."""
        return self.limits == (-math.inf, math.inf)

    def partners(
        self,
        rows: Indices,
        columns: Indices,
        *,
        pairs_once: bool = False,
        stop: Callable[[slice, Indices], bool] = lambda at, counts: False,
    ) -> Indices:
        """For each row its partners among the columns; a row of one collection is no partner of itself.

        With `pairs_once` only columns after the row count, and both are all rows. `stop` is called after some
        rows, with their places and counts. If it returns True, the rows that are left have 0.
        """
        counts = np.zeros(len(rows), np.int64)
        stopped = False

        def strips() -> Iterator[slice]:
            for start in range(0, len(rows), self._strip):
                if stopped:
                    return
                yield slice(start, min(start + self._strip, len(rows)))

        def count(scorer: PairScorer, at: slice) -> None:
            nonlocal stopped
            for start in range(at.start if pairs_once else 0, len(columns), self._columns):
                part = columns[start : start + self._columns]
                counts[at] += self._tile(scorer, rows[at], part, pairs_once)
            stopped = stopped or stop(at, counts[at])

        with pool.one_blas_thread:
            pool.run(
                strips(),
                count,
                lambda: PairScorer(self._x, self._y, chunk_bytes=self.tuning.chunk_bytes),
                workers=self._workers,
            )
        return counts

    def _tile(self, scorer: PairScorer, rows: Indices, columns: Indices, pairs_once: bool) -> Indices:
        products = self._x[rows] @ self._y[columns].T
        within, near = np.ones(products.shape, bool), np.zeros(products.shape, bool)
        for limit, over in zip(self.limits, (np.greater, np.less), strict=True):
            if math.isfinite(limit):
                slack = self._slack if over is np.greater else -self._slack
                sure = over(products, limit + slack)
                near |= over(products, limit - slack) & ~sure
                within &= sure
        i, j = np.nonzero(near)
        if len(i):
            exact = scorer.exact(rows[i], columns[j]).astype(np.float64)
            within[i, j] = (exact >= self.limits[0]) & (exact <= self.limits[1])
        if pairs_once:
            within &= columns > rows[:, None]
        elif self.self_join:
            within &= columns != rows[:, None]
        counts: Indices = within.sum(axis=1)
        return counts
