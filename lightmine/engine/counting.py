"""How many pairs score within limits, and how many of them a cap left out of an answer."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightmine.engine.job import Job, prepare
from lightmine.engine.matrix import FloatMatrix, unit_rows
from lightmine.engine.partners import PartnerCounter, score_limits
from lightmine.engine.spec import Pairs
from lightmine.engine.tiling import parse_bytes
from lightmine.errors import ArgumentError
from lightmine.results import Indices

Floats = NDArray[np.float64]


def count_pairs(
    x: ArrayLike,
    other: ArrayLike | None = None,
    *,
    threshold: float | None,
    max_score: float | None = None,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
) -> int:
    """How many pairs score within limits, exactly, by their exact scores.

    Every pair is multiplied in float32; the few that are within its error of a limit are scored exactly.
    For 100,000 rows this takes longer than mining them does.

    Parameters
    ----------
    x : array of shape (n, d)
        Embeddings; see `lightmine.unit_rows` for what is accepted.
    other : array of shape (m, d), optional
        A second list: pairs are then between a row of `x` and a row of `other`.
    threshold, max_score : float or None
        Only pairs that score at least, and at most, this.
    memory_budget, threads
        As in `lightmine.mine_paraphrases`.

    Returns
    -------
    int

    Raises
    ------
    ArgumentError, MatrixError, BudgetError

    Examples
    --------
    >>> count_pairs([[1, 0], [0, 1], [3, 4]], threshold=0.6)
    2
    """
    for name, limit in (("threshold", threshold), ("max_score", max_score)):
        if limit is not None and not -1 <= limit <= 1:
            raise ArgumentError(f"{name} is a cosine, from -1 to 1, not {limit:g}")
    job = Job(memory_budget=memory_budget, threads=threads)
    left, right, budget = prepare(x, other, job)
    rows, columns = np.arange(len(left)), np.arange(len(left if right is None else right))
    counter = PartnerCounter(left, right, score_limits(threshold, max_score), budget=budget, job=job)
    if counter.everything:
        return _all_pairs(len(rows), len(columns), self_join=right is None)
    return int(counter.partners(rows, columns, pairs_once=right is None).sum())


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Pairs within the limits that are not in the answer, because a cap was reached.

    Attributes
    ----------
    cap : {"top_k", "max_pairs"}
        ``max_pairs`` where it was reached; pairs that `top_k` left out are counted with it then.
    pairs : int
        How many pairs.
    error : int
        Twice the standard error of `pairs`; 0 where they were counted.
    rows : int
        Rows that list `top_k` partners; 0 for `max_pairs`.
    """

    cap: str
    pairs: int
    error: int
    rows: int = 0


def left_out(
    found: Pairs,
    x: FloatMatrix,
    other: FloatMatrix | None = None,
    *,
    threshold: float | None,
    max_score: float | None = None,
    top_k: int | None,
    max_pairs: int | None,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
) -> LeftOut | None:
    """What the caps of `mine_paraphrases` left out of an answer.

    A pair over the threshold that `top_k` leaves out is listed by neither end, so both ends list `top_k`
    other pairs over it: only pairs of such rows are looked at. Without a threshold every pair qualifies, and
    what `top_k` leaves out is not counted. Where counting would take long, a sample of rows is counted,
    always the same. Rows that stand in the answer are sampled apart: they have most of the partners.

    Parameters
    ----------
    found : Pairs
        Mined with the same caps; those over the threshold, if they were mined with a lower one.
    x, other : float32 arrays of shape (n, d) and (m, d)
        The embeddings that were mined.
    threshold, max_score, top_k, max_pairs, memory_budget, threads
        As given to `mine_paraphrases`.

    Returns
    -------
    LeftOut or None
        None where no cap was reached, or none left a pair out.

    Examples
    --------
    >>> from lightmine import mine_paraphrases
    >>> x = unit_rows(np.ones((6, 2)))
    >>> found = mine_paraphrases(x, top_k=2, threshold=0.9)
    >>> len(found), left_out(found, x, threshold=0.9, top_k=2, max_pairs=None)
    (9, LeftOut(cap='top_k', pairs=6, error=0, rows=6))
    """
    return _left_out(
        found, x, other, threshold=threshold, max_score=max_score, top_k=top_k, max_pairs=max_pairs,
        job=Job(memory_budget=memory_budget, threads=threads),
    )  # fmt: skip


def _left_out(
    found: Pairs, x: FloatMatrix, other: FloatMatrix | None = None, *, threshold: float | None,
    max_score: float | None = None, top_k: int | None, max_pairs: int | None, job: Job,
) -> LeftOut | None:  # fmt: skip
    counter = PartnerCounter(
        unit_rows(x), None if other is None else unit_rows(other), score_limits(threshold, max_score),
        budget=parse_bytes(job.memory_budget), job=job,
    )  # fmt: skip
    rows, columns = np.arange(len(x)), np.arange(len(x if other is None else other))
    if max_pairs is not None and len(found) >= max_pairs:
        return _left_out_by_max_pairs(counter, rows, columns, found)
    if top_k is None or counter.limits[0] == -math.inf:
        return None
    rows, columns = _full(found, len(rows), len(columns), top_k, self_join=other is None)
    if not len(rows) or not len(columns):
        return None
    pairs, error = _others(counter, rows, columns, found)
    full = len(rows) if other is None else len(rows) + len(columns)
    return LeftOut("top_k", pairs, error, full) if pairs else None


def top_k_was_reached(
    found: Pairs, x: FloatMatrix, other: FloatMatrix | None, *, min_score: float, max_score: float | None,
    top_k: int, budget: int, job: Job,
) -> bool:  # fmt: skip
    """Whether neither end lists some pair from `min_score` to `max_score`; stops at the first that is found.

    `found` are all pairs within these limits that an end lists. Both ends of a pair that is left out list
    `top_k` of them, so mostly there are few rows to look at.
    """
    n, m = len(x), len(x if other is None else other)
    rows, columns = _full(found, n, m, top_k, self_join=other is None)
    if not len(rows) or not len(columns):
        return False
    counter = PartnerCounter(x, other, score_limits(min_score, max_score), budget=budget, job=job)
    listed = _listed(found, rows, columns, n, self_join=other is None)
    counts = counter.partners(rows, columns, stop=lambda at, counts: bool((counts > listed[at]).any()))
    return bool((counts > listed).any())


def _left_out_by_max_pairs(
    counter: PartnerCounter, rows: Indices, columns: Indices, found: Pairs
) -> LeftOut | None:
    if counter.everything:
        every = _all_pairs(len(rows), len(columns), self_join=counter.self_join)
        pairs, error = every - len(found), 0
    else:
        pairs, error = _others(counter, rows, columns, found)
    if not pairs and error and "max_pairs" in found.limited_by:
        pairs = 1  # the sample met none, but mining did
    return LeftOut("max_pairs", pairs, error) if pairs > 0 else None


def _others(counter: PartnerCounter, rows: Indices, columns: Indices, found: Pairs) -> tuple[int, int]:
    """How many pairs within limits of some rows and columns are not found, and twice the standard error.

    Rows of pairs that are found are one stratum, the others the second. In one collection a pair between the
    two is counted from the first alone, and one within a stratum from both of its ends.
    """
    listed = _listed(found, rows, columns, counter.rows, self_join=counter.self_join)
    first, second, listed = rows[listed > 0], rows[listed == 0], listed[listed > 0]
    least, products = counter.tuning.count_rows, counter.tuning.count_products
    most = max(least, int(products / (max(1, len(columns)) * counter.dimension)))
    chosen = _sample(len(first), max(most // 2, most - len(second)))
    last = _sample(len(second), max(most - len(chosen), least))
    if counter.self_join:
        values = (counter.partners(first[chosen], first) - listed[chosen]) / 2
        values += counter.partners(first[chosen], second)
        others = counter.partners(second[last], second) / 2
    else:
        values = (counter.partners(first[chosen], columns) - listed[chosen]).astype(np.float64)
        others = counter.partners(second[last], columns).astype(np.float64)
    totals = [_total(values, len(first)), _total(others, len(second))]
    variance = sum(each for _, each in totals)
    return round(sum(total for total, _ in totals)), math.ceil(2 * math.sqrt(variance))


def _sample(count: int, size: int) -> Indices:
    """Row numbers, in order; always the same, so that the same job says the same."""
    if count <= size:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, size, replace=False))


def _total(values: Floats, count: int) -> tuple[float, float]:
    """The sum over so many rows of which these are a sample, and its variance."""
    if len(values) == count:
        return float(values.sum()), 0.0
    # Rows that are all alike tell nothing of rarer ones: one in the sample might be off by one pair.
    spread = max(float(values.var(ddof=1)), 1 / len(values))
    return count * float(values.mean()), count**2 * (1 - len(values) / count) * spread / len(values)


def _listed(found: Pairs, rows: Indices, columns: Indices, n: int, *, self_join: bool) -> Indices:
    """For each row, in how many of the found pairs it stands with one of the columns."""
    there = np.isin(found.left, rows) & np.isin(found.right, columns)
    counts = np.bincount(found.left[there], minlength=n)
    if self_join:
        counts = counts + np.bincount(found.right[there], minlength=n)
    listed: Indices = counts[rows]
    return listed


def _full(found: Pairs, n: int, m: int, top_k: int, *, self_join: bool) -> tuple[Indices, Indices]:
    """The rows of each side that are in `top_k` pairs or more."""
    left, right = np.bincount(found.left, minlength=n), np.bincount(found.right, minlength=m)
    if self_join:
        left = right = left + right
    return np.flatnonzero(left >= top_k), np.flatnonzero(right >= top_k)


def _all_pairs(n: int, m: int, *, self_join: bool) -> int:
    return n * (n - 1) // 2 if self_join else n * m
