"""An estimate of min_score from a sample of rows, before the tiles start.

Nothing here decides the answer: the join checks the estimate against the answer.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.selection import Candidates
from lightmine.engine.spec import JoinSpec
from lightmine.engine.top_k import Scores, rank_in_run, top_k
from lightmine.engine.tuning import Tuning
from lightmine.engine.worker import SharedState
from lightmine.errors import BudgetError
from lightmine.results import Indices

if TYPE_CHECKING:
    from lightmine.engine.join import SimilarityJoin


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
    tuning : Tuning
    """

    scores: Scores
    pairs: NDArray[np.float64]
    error: NDArray[np.float64]
    tuning: Tuning

    def min_score(self, wanted: float) -> float | None:
        """The best score from which `wanted` pairs should be listed, with a safety margin."""
        tuning = self.tuning
        seen = np.arange(1, len(self.scores) + 1) >= tuning.estimate_least_seen
        margin = tuning.estimate_margin + tuning.estimate_errors * self.error
        enough = np.flatnonzero(seen & (self.pairs >= margin * wanted))
        return float(self.scores[enough[0]]) if len(enough) else None

    def corrected(self, min_score: float, found: int) -> BoundEstimate:
        """The same, scaled to what was found from some score up; half the error is left."""
        expected = self.pairs[np.searchsorted(-self.scores, -min_score, side="right") - 1]
        pairs = self.pairs * (max(found, 1) / expected)
        return BoundEstimate(self.scores, pairs, self.error / 2, self.tuning)


def estimate_pairs(join: SimilarityJoin) -> BoundEstimate | None:
    """How many pairs of a self join reach each score, for a spec that wants the best `max_pairs`.

    The complete lists of a sample of rows are made. None if there is nothing to gain.
    """
    x, spec, tuning = join.x, join.spec, join.tuning
    every = spec.n * (spec.n - 1) / 2
    if not spec.self_join or spec.max_pairs is None:
        return None
    if spec.n < 4 * tuning.estimate_rows or 16 * spec.max_pairs > every:
        return None
    # Short lists leave many pairs of a score out, so the last pair of the answer has a lower one.
    share = 32 * max(1, 100 / (spec.k_left or 100)) * spec.max_pairs / every
    with pool.one_blas_thread:
        low = _low_score(x, min(1.0, share), join.budget, tuning)
    step = min(len(x) // tuning.estimate_rows, tuning.estimate_one_in)
    rows, others, scores = _lists_of_sample(join, step, max(low, spec.min_score))
    mine = np.flatnonzero(top_k(rows, others, scores, spec.k_left or spec.n))
    listed = mine[np.argsort(-scores[mine], kind="stable")]
    row, best = rows[listed], scores[listed]
    count = np.arange(1, len(best) + 1)
    # A pair that both its ends list is counted twice.
    pairs = count * step * (1 - _mutual_share(row, others[listed], step, spec.n, tuning) / 2)
    # The sample is one of rows, and a row with a long list is in it by chance: the error is between rows.
    by_row = np.argsort(row, kind="stable")
    before = np.empty_like(count)
    before[by_row] = rank_in_run(row[by_row])
    error = np.sqrt(np.cumsum(2 * before + 1)) / count
    return BoundEstimate(best, pairs, error, tuning)


def _mutual_share(row: Indices, other: Indices, step: int, n: int, tuning: Tuning) -> NDArray[np.float64]:
    """Of list entries, best first: the share, from the first to each, whose other end lists the row too.

    As far as entries tell whose both ends are in the sample; as if some more were all listed twice, which
    makes the estimate of pairs lower.
    """
    keys = row * step * n + other
    sampled = other % step == 0
    mutual = sampled & np.isin(other * n + row * step, keys)
    more = tuning.estimate_least_seen
    share: NDArray[np.float64] = (np.cumsum(mutual) + more) / (np.cumsum(sampled) + more)
    return share


def _low_score(x: FloatMatrix, share: float, budget: int, tuning: Tuning) -> float:
    """A score that about this share of all pairs reach."""
    hits, largest = tuning.estimate_hits, tuning.estimate_largest_side
    side = min(math.ceil(math.sqrt(32 * hits / share)), largest, len(x) // 2, math.isqrt(budget // 64))
    step = len(x) // side
    # Two samples without a row in common: no row meets itself.
    rows, others = x[::step][:side], x[step // 2 :: step][:side]
    scores = (np.ascontiguousarray(rows) @ np.ascontiguousarray(others).T).ravel()
    place = scores.size - math.ceil(share * scores.size)
    scores.partition(place)
    return float(scores[place])


def _lists_of_sample(join: SimilarityJoin, step: int, low: float) -> tuple[Indices, Indices, Scores]:
    """The lists of every `step`-th row, from a score up: its number in the sample, the other row, the score.

    Without a k a list is of all pairs from that score up; none if there are too many.
    """
    sample = np.ascontiguousarray(join.x[::step])
    # Each row of the sample finds itself, which is not in its list.
    k = None if join.spec.k_left is None else min(join.spec.k_left + 1, len(join.x))
    spec = JoinSpec(
        len(sample), len(join.x), self_join=False, k_left=k, min_score=low, max_score=join.spec.max_score
    )
    # Far more than a sample should have: so many equal scores that no min_score separates them.
    candidates = Candidates(spec, capacity=join.budget // 256, tuning=join.tuning, kernel=join.kernel)
    plan = dataclasses.replace(join.plan, n=spec.n, m=spec.m, self_join=False)
    shared = SharedState(sample, join.x, candidates, plan, join.tuning)
    sides = None if join.compressed is None else (join.compress(sample), join.compressed[1])
    try:
        join.work(shared, sides)
    except BudgetError:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    found = candidates.answer().pairs
    other = found.left * step != found.right
    return found.left[other], found.right[other], found.score[other]
