"""How many pairs a cap left out: counted where that is cheap, else estimated from some rows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from lightmine.engine import pool
from lightmine.engine.matrix import FloatMatrix, PairScorer, score_error, unit_rows
from lightmine.engine.topk import Pairs
from lightmine.results import Indices

# Products of two coordinates that are spent on an exact count: some seconds of one thread.
EXACT = 5e10
# Rows of both sides whose products are in memory at a time.
TILE = 1024, 4096


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
) -> LeftOut | None:
    """What the caps of `mine_paraphrases` left out of an answer.

    A pair over the threshold that `top_k` leaves out is listed by neither end, so both ends list `top_k`
    other pairs over it: only pairs of such rows are looked at. Without a threshold every pair qualifies, and
    what `top_k` leaves out is not counted.

    Parameters
    ----------
    found : Pairs
        Mined with the same caps; those over the threshold, if they were mined with a lower one.
    x, other : float32 arrays of shape (n, d) and (m, d)
        The embeddings that were mined.
    threshold, max_score, top_k, max_pairs
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
    n, m = len(x), len(x if other is None else other)
    # Scores end at -1 and 1, products in float32 do not: limits there are none.
    limits = (
        -math.inf if threshold is None or threshold <= -1 else threshold,
        math.inf if max_score is None or max_score >= 1 else max_score,
    )
    if max_pairs is not None and len(found) >= max_pairs:
        everything = n * (n - 1) // 2 if other is None else n * m
        if limits == (-math.inf, math.inf):
            count, error = everything, 0
        else:
            count, error = _count(unit_rows(x), None if other is None else unit_rows(other), limits)
        return LeftOut("max_pairs", count - len(found), error) if count > len(found) else None
    if top_k is None or limits[0] == -math.inf or not len(found):
        return None
    left, right = _full(found, n, m, top_k, one_collection=other is None)
    if not len(left) or not len(right):
        return None
    count, error = _count(unit_rows(x[left]), None if other is None else unit_rows(other[right]), limits)
    there = int((np.isin(found.left, left) & np.isin(found.right, right)).sum())
    rows = len(left) if other is None else len(left) + len(right)
    return LeftOut("top_k", count - there, error, rows) if count > there else None


def _full(found: Pairs, n: int, m: int, top_k: int, *, one_collection: bool) -> tuple[Indices, Indices]:
    """The rows of each side that are in `top_k` pairs or more."""
    left, right = np.bincount(found.left, minlength=n), np.bincount(found.right, minlength=m)
    if one_collection:
        left = right = left + right
    return np.flatnonzero(left >= top_k), np.flatnonzero(right >= top_k)


def _count(x: FloatMatrix, other: FloatMatrix | None, limits: tuple[float, float]) -> tuple[int, int]:
    """How many pairs score within limits, and twice the standard error of that."""
    y = x if other is None else other
    sample = min(len(x), max(100, int(EXACT / (len(y) * x.shape[1]))))
    chosen = np.arange(len(x))
    if sample < len(x):
        # Always the same rows, so that the same job says the same.
        chosen = np.sort(np.random.default_rng(0).choice(len(x), sample, replace=False))
    counts = np.zeros(sample)
    scorer = PairScorer(x, y)
    with pool.one_blas_thread:
        for start in range(0, sample, TILE[0]):
            rows = chosen[start : start + TILE[0]]
            for column in range(0, len(y), TILE[1]):
                columns = np.arange(column, min(column + TILE[1], len(y)))
                counts[start : start + len(rows)] += _tile(scorer, x, y, rows, columns, limits, other is None)
    twice = 2 if other is None else 1  # each pair is met from both of its ends
    if sample == len(x):
        return round(counts.sum() / twice), 0
    share = math.sqrt((1 - sample / len(x)) / sample)
    return (
        round(len(x) * float(counts.mean()) / twice),
        math.ceil(2 * len(x) * share * float(counts.std(ddof=1)) / twice),
    )


def _tile(
    scorer: PairScorer,
    x: FloatMatrix,
    y: FloatMatrix,
    rows: Indices,
    columns: Indices,
    limits: tuple[float, float],
    one_collection: bool,
) -> Indices:
    """For some rows, how many of some columns are within limits; a row does not count with itself."""
    products = x[rows] @ y[columns].T
    slack = score_error(x.shape[1])
    within = (products > limits[0] + slack) & (products < limits[1] - slack)
    near = (np.abs(products - limits[0]) <= slack) | (np.abs(products - limits[1]) <= slack)
    i, j = np.nonzero(near)
    exact = scorer.exact(rows[i], columns[j]).astype(np.float64)
    within[i, j] = (exact >= limits[0]) & (exact <= limits[1])
    if one_collection:
        within[rows[:, None] == columns[None, :]] = False
    counts: Indices = within.sum(axis=1)
    return counts
