"""The best k entries of each row, and orders of scores, in NumPy: what the compiled kernel does too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.results import Indices, Mask

Scores = NDArray[np.float32]
MINUS_INFINITY = np.float32(-np.inf)


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
