"""What a sample of pairs tells before the tiles start: a floor to begin with.

Nothing here decides the answer: the caller checks what was guessed once the answer is there.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import threading

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine.bounds import Kernel, Scorer, Scores, plain
from lightmine.engine.matmul import Fp32Product
from lightmine.engine.matrix import FloatMatrix, score_error
from lightmine.engine.quantization import RowOrder
from lightmine.engine.selection import JoinSpec, rank_in_run, top_k
from lightmine.engine.tiling import COLUMNS

# Rows whose lists stand for everybody's: at least so many, and one in so many of a large collection.
LEAST_ROWS, ONE_IN = 256, 400
# Pairs that a sample should find over the score from which lists are looked at, and its most rows a side.
HITS, LARGEST_SIDE = 400, 4096
# Listings that must have been seen to go by.
LEAST_SEEN = 16
# Room for luck: pairs to expect for each that is needed, and how many standard errors beside.
MORE, ERRORS = 1.05, 2.0


@dataclasses.dataclass(frozen=True)
class BoundEstimate:
    """How many pairs are listed from each of some scores up, as far as a sample of rows tells.

    Attributes
    ----------
    scores : float32 array, best first
    pairs : float64 array
        Pairs that are expected to be listed from each score up, at the least.
    error : float64 array
        Standard error of those, as a share of them.
    """

    scores: Scores
    pairs: NDArray[np.float64]
    error: NDArray[np.float64]

    def min_score(self, wanted: float) -> float | None:
        """The best score from which `wanted` pairs should be listed, with room for luck."""
        seen = np.arange(1, len(self.scores) + 1) >= LEAST_SEEN
        enough = np.flatnonzero(seen & (self.pairs >= (MORE + ERRORS * self.error) * wanted))
        return float(self.scores[enough[0]]) if len(enough) else None

    def corrected(self, min_score: float, found: int) -> BoundEstimate:
        """The same, made to agree with what was found from some score up; half the error is left."""
        expected = self.pairs[np.searchsorted(-self.scores, -min_score, side="right") - 1]
        return BoundEstimate(self.scores, self.pairs * (max(found, 1) / expected), self.error / 2)


def estimate_pairs(x: FloatMatrix, rule: JoinSpec, *, budget: int, workers: int) -> BoundEstimate | None:
    """How many pairs of one collection a score leaves, for a rule that wants the best `max_pairs`.

    The lists of some rows among all rows are made in full. None where there is nothing to gain, or the
    lists are too long to be held.
    """
    every = rule.n * (rule.n - 1) / 2
    if not rule.self_join or rule.max_pairs is None:
        return None
    if rule.n < 4 * LEAST_ROWS or 16 * rule.max_pairs > every:
        return None
    low = _low_score(x, min(1.0, 32 * rule.max_pairs / every), budget)
    step = min(len(x) // LEAST_ROWS, ONE_IN)
    rows, scores = _lists_of_sample(x, step, max(low, rule.min_score), budget, workers)
    if rule.max_score < np.inf:
        rows, scores = rows[scores <= rule.max_score], scores[scores <= rule.max_score]
    mine = top_k(rows, np.arange(len(rows)), scores, rule.k_left or rule.n)
    listed = np.argsort(-scores[mine], kind="stable")
    row, best = rows[mine][listed], scores[mine][listed]
    count = np.arange(1, len(best) + 1)
    # A pair that both its ends list was counted twice: half of the listings are pairs, or more.
    pairs = count * step / 2
    # Rows are what was drawn, and one that lists much does so by chance: the error is between rows.
    by_row = np.argsort(row, kind="stable")
    before = np.empty_like(count)
    before[by_row] = rank_in_run(row[by_row])
    error = np.sqrt(np.cumsum(2 * before + 1)) / count
    # These are float32 products: of equal rows they may be over 1, which no pair's score is.
    return BoundEstimate(np.minimum(best - np.float32(score_error(x.shape[1])), 1), pairs, error)


def _low_score(x: FloatMatrix, share: float, budget: int) -> float:
    """A score that about this share of all pairs reach."""
    side = min(math.ceil(math.sqrt(32 * HITS / share)), LARGEST_SIDE, len(x) // 2, math.isqrt(budget // 64))
    step = len(x) // side
    # Two samples without a row in common: no row meets itself.
    rows, others = x[::step][:side], x[step // 2 :: step][:side]
    scores = Fp32Product(size=side * side)(np.ascontiguousarray(rows), np.ascontiguousarray(others)).ravel()
    place = scores.size - math.ceil(share * scores.size)
    scores.partition(place)
    return float(scores[place])


def _lists_of_sample(
    x: FloatMatrix, step: int, low: float, budget: int, workers: int
) -> tuple[RowOrder, Scores]:
    """Every score from `low` up that each `step`-th row has, and that row; none if there are too many."""
    sample = np.ascontiguousarray(x[::step])
    found: list[tuple[RowOrder, Scores]] = []
    kernel = Kernel([plain(sample, x)], COLUMNS)
    # Far more than a sample should have: equal scores without end, which no floor can part.
    most, overflow = budget // 256, threading.Event()

    def look(scorer: Scorer, tile: tuple[slice, slice]) -> None:
        rows, columns = tile
        raw = scorer.scores(0, rows, columns).ravel()
        hits = np.flatnonzero(raw >= low)
        if sum(len(part) for _, part in found) + len(hits) > most:
            overflow.set()
        if overflow.is_set():
            return
        row, column = np.divmod(hits, columns.stop - columns.start)
        row += rows.start
        other = row * step != column + columns.start
        found.append((row[other], raw[hits[other]].astype(np.float32)))

    tiles = itertools.product(_strips(len(sample), LEAST_ROWS), _strips(len(x), COLUMNS))
    pool.run(tiles, look, lambda: kernel.scorer(LEAST_ROWS * COLUMNS), workers=workers)
    if overflow.is_set() or not found:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    rows, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows, scores


def _strips(count: int, width: int) -> list[slice]:
    return [slice(start, min(start + width, count)) for start in range(0, count, width)]
