"""Margins: how much a pair stands out among its neighbours.

Artetxe and Schwenk 2019, "Margin-based parallel corpus mining with multilingual sentence
embeddings", section 3: with a = cos(x, y) and b the mean of the average cosine of x to its k nearest
neighbours in Y and of y to its k nearest in X, the margin is a/b (ratio), a - b (distance) or a
(absolute).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_choice

MARGINS = ("ratio", "distance", "absolute")

# Averages at or under this are no scale to divide by; a ratio is then a over this, still ordered by a.
SMALLEST_AVERAGE = 1e-6


def margin_scores(
    cosine: NDArray[np.floating],
    left_mean: NDArray[np.floating],
    right_mean: NDArray[np.floating],
    *,
    margin: str = "ratio",
    smallest_average: float | None = SMALLEST_AVERAGE,
) -> NDArray[np.float32]:
    """The margin of pairs.

    Parameters
    ----------
    cosine : array of shape (...)
        Cosine of each pair.
    left_mean, right_mean : arrays that broadcast to the same shape
        Mean cosine of the pair's left and right sentence to its k nearest on the other side.
    margin : {"ratio", "distance", "absolute"}
    smallest_average : float or None
        For "ratio", an average of the two means under this is replaced by it; None leaves it, but for zero.

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
    check_choice("margin", margin, MARGINS)
    cosine = cosine.astype(np.float64)
    average = (left_mean.astype(np.float64) + right_mean) / 2
    if margin == "distance":
        scores = cosine - average
    elif margin == "absolute":
        scores = cosine + np.zeros_like(average)
    elif smallest_average is None:
        scores = cosine / np.where(average == 0, SMALLEST_AVERAGE, average)
    else:
        scores = cosine / np.maximum(average, smallest_average)
    return scores.astype(np.float32)
