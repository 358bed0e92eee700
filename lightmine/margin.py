"""Margins: how much a pair stands out among its neighbours.

Artetxe and Schwenk 2019, "Margin-based parallel corpus mining with multilingual sentence
embeddings", section 3: with a = cos(x, y) and b the mean of the average cosine of x to its k nearest
neighbours in Y and of y to its k nearest in X, the margin is a/b (ratio), a - b (distance) or a
(absolute).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import ArgumentError

MARGINS = ("ratio", "distance", "absolute")

# Averages at or under this are no scale to divide by; a ratio is then a over this, still ordered by a.
SMALLEST_AVERAGE = 1e-6


def margin_scores(
    cosine: NDArray[np.floating],
    left_mean: NDArray[np.floating],
    right_mean: NDArray[np.floating],
    *,
    margin: str = "ratio",
) -> NDArray[np.float32]:
    """The margin of pairs.

    Parameters
    ----------
    cosine : array of shape (...)
        Cosine of each pair.
    left_mean, right_mean : arrays that broadcast to the same shape
        Mean cosine of the pair's left and right sentence to its k nearest on the other side.
    margin : {"ratio", "distance", "absolute"}

    Returns
    -------
    float32 array of shape (...)
        For "ratio", where the average of the two means is under 1e-6, zero or negative, the cosine
        is divided by 1e-6 instead: finite, of the cosine's sign, and ordered as the cosine is.

    Raises
    ------
    ArgumentError
        Another margin was asked for.

    Examples
    --------
    >>> margin_scores(np.array([0.9, 0.5]), np.array([0.6, 0.5]), np.array([0.3, 0.5]))
    array([2., 1.], dtype=float32)
    """
    cosine = cosine.astype(np.float64)
    average = (left_mean.astype(np.float64) + right_mean) / 2
    if margin == "ratio":
        scores = cosine / np.maximum(average, SMALLEST_AVERAGE)
    elif margin == "distance":
        scores = cosine - average
    elif margin == "absolute":
        scores = cosine + np.zeros_like(average)
    else:
        raise ArgumentError(f"margin must be one of {', '.join(MARGINS)}, not {margin!r}")
    return scores.astype(np.float32)
