"""One-to-one assignment: each sentence in one pair at most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import MissingExtraError

Places = NDArray[np.int64]


def greedy(left: Places, right: Places) -> NDArray[np.bool_]:
    """Choose pairs from the best down, if both sentences are still unused.

    Parameters
    ----------
    left, right : (p,) integer arrays
        Pairs, the best first.

    Returns
    -------
    (p,) bool array
        Which pairs are chosen.

    Examples
    --------
    >>> greedy(np.array([0, 1, 1]), np.array([5, 5, 6])).tolist()
    [True, False, True]
    """
    chosen = np.zeros(len(left), bool)
    if not len(left):
        return chosen
    free_left, free_right = bytearray(b"\1") * int(left.max() + 1), bytearray(b"\1") * int(right.max() + 1)
    for place, (i, j) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        if free_left[i] and free_right[j]:
            free_left[i] = free_right[j] = 0
            chosen[place] = True
    return chosen


def optimal(left: Places, right: Places, score: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Choose the pairs with the largest sum of scores, each sentence used once; needs scipy.

    A pair of score zero or less is never chosen. If several choices have the largest sum, the same one of
    them is returned each time.

    Parameters
    ----------
    left, right : (p,) integer arrays
        Distinct pairs, in any order.
    score : (p,) array

    Returns
    -------
    (p,) bool array
        Which pairs are chosen.

    Raises
    ------
    MissingExtraError
        scipy is not installed.

    Examples
    --------
    >>> optimal(np.array([0, 0, 1]), np.array([5, 6, 5]), np.array([3, 2, 2], np.float32)).tolist()
    [False, True, True]
    """
    try:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import min_weight_full_bipartite_matching
    except ImportError:
        raise MissingExtraError.of(
            "eval", "an optimal one-to-one choice needs scipy; choose greedy, or install it"
        ) from None
    chosen = np.zeros(len(left), bool)
    useful = np.flatnonzero(score > 0)
    if not len(useful):
        return chosen
    _, i = np.unique(left[useful], return_inverse=True)
    rights, j = np.unique(right[useful], return_inverse=True)
    n = int(i.max()) + 1
    # SciPy matches every left sentence. So each has one more partner, with a score of 0, which stands for no
    # match. SciPy reads a weight of 0 as no edge, so 1 is added to each weight. This does not change the
    # choice, because every left sentence has exactly one match.
    rows = np.r_[i, np.arange(n)].astype(np.int32)
    columns = np.r_[j, len(rights) + np.arange(n)].astype(np.int32)
    weights = np.r_[score[useful].astype(np.float64), np.zeros(n)] + 1.0
    graph = csr_array((weights, (rows, columns)), shape=(n, len(rights) + n))
    _, matched = min_weight_full_bipartite_matching(graph, maximize=True)
    chosen[useful] = matched[i] == j
    return chosen
