"""Margins: the cosine of a pair compared with those of its neighbours.

Artetxe and Schwenk 2019, "Margin-based parallel corpus mining with multilingual sentence
embeddings", section 3: with a = cos(x, y) and b the mean of the average cosine of x to its k nearest
neighbours in Y and of y to its k nearest in X, the margin is a/b (ratio), a - b (distance) or a
(absolute).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_choice

Margin = Literal["ratio", "distance", "absolute"]
MARGINS: tuple[Margin, ...] = get_args(Margin)

# A ratio is not divided by a smaller average than this. Such ratios are still in the order of the cosines.
SMALLEST_AVERAGE = 1e-6


def margin_scores(
    cosine: NDArray[np.floating],
    left_mean: NDArray[np.floating],
    right_mean: NDArray[np.floating],
    *,
    margin: Margin = "ratio",
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
        For "ratio", a smaller average of the two means is replaced by this; with None only zero is replaced.

    Returns
    -------
    float32 array of shape (...)
        For "ratio", if the average of the two means is under 1e-6, the cosine is divided by 1e-6: the margin
        is then finite, has the sign of the cosine, and is in the order of the cosines.

    Raises
    ------
    ArgumentError
        `margin` is none of the three.

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
