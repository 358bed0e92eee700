"""The quality of embeddings: translation retrieval and similarity."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightmine.errors import ArgumentError, MatrixError
from lightmine.search import neighbors


@dataclasses.dataclass(frozen=True)
class RetrievalAccuracy:
    """Accuracy@1 of translation retrieval, both ways."""

    source_to_target: float
    target_to_source: float

    @property
    def mean(self) -> float:
        """The mean of the two directions."""
        return (self.source_to_target + self.target_to_source) / 2


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Correlation of predicted with human similarity."""

    spearman: float
    pearson: float


def retrieval_accuracy(source: ArrayLike, target: ArrayLike) -> RetrievalAccuracy:
    """Accuracy@1: how often the nearest row on the other side is the row of the same number.

    The measure of the Tatoeba test set (Artetxe and Schwenk 2019, "Massively Multilingual Sentence
    Embeddings", section 4.3), as 1 - error rate. Among equal scores the lower row wins, so a constant
    embedding scores 1 / n and not 1.

    Parameters
    ----------
    source, target : (n, d) arrays
        Unit rows; row i of one side translates row i of the other.

    Returns
    -------
    RetrievalAccuracy
        Both directions, as fractions.

    Raises
    ------
    MatrixError
        The matrices are empty, are not of one shape, or hold a value that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> retrieval_accuracy(np.eye(2), [[1, 0], [0.8, 0.6]])
    RetrievalAccuracy(source_to_target=1.0, target_to_source=0.5)
    """
    left, right = _matrix(source, "source"), _matrix(target, "target")
    if left.shape != right.shape:
        raise MatrixError(f"source is {left.shape} and target {right.shape}: give one row a translation")
    near = neighbors(left, right, k=1, both=True)
    assert near.reverse is not None
    return RetrievalAccuracy(_accuracy(near.index), _accuracy(near.reverse.index))


def similarity_correlation(predicted: ArrayLike, gold: ArrayLike) -> Correlation:
    """Spearman's and Pearson's correlation of predicted with human similarities (the STS measure).

    Spearman's is Pearson's correlation of the ranks, tied values sharing the mean of their ranks
    (Spearman 1904). A constant side has no correlation: both figures are NaN then.

    Parameters
    ----------
    predicted, gold : (n,) arrays
        Similarities of the same n pairs, in any unit.

    Returns
    -------
    Correlation
        Both coefficients, from -1 to 1.

    Raises
    ------
    ArgumentError
        The sides differ in length, have fewer than two values, or hold a value that is not finite.

    Examples
    --------
    >>> round(similarity_correlation([0.1, 0.5, 0.9], [0, 1, 5]).spearman, 6)
    1.0
    """
    x, y = np.asarray(predicted, np.float64), np.asarray(gold, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ArgumentError(
            f"predicted has shape {x.shape} and gold {y.shape}: give one value a pair in each"
        )
    if len(x) < 2:
        raise ArgumentError(f"a correlation needs at least two pairs, and there are {len(x)}")
    for name, values in (("predicted", x), ("gold", y)):
        if not np.isfinite(values).all():
            raise ArgumentError(f"{name}[{int(np.argmin(np.isfinite(values)))}] is not a finite number")
    return Correlation(_pearson(average_ranks(x), average_ranks(y)), _pearson(x, y))


def average_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks from 1, tied values sharing the mean of their ranks.

    Parameters
    ----------
    values : (n,) array
        Finite numbers.

    Returns
    -------
    (n,) float64 array
        The ranks.

    Examples
    --------
    >>> average_ranks([3, 1, 3, 2]).tolist()
    [3.5, 1.0, 3.5, 2.0]
    """
    _, group, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: NDArray[np.float64] = last - (counts - 1) / 2
    return means[group]


def _accuracy(nearest: NDArray[np.signedinteger[Any]]) -> float:
    return int((nearest[:, 0] == np.arange(len(nearest))).sum()) / len(nearest)


def _matrix(values: ArrayLike, name: str) -> NDArray[np.float64]:
    matrix = np.asarray(values, np.float64)
    if matrix.ndim != 2 or not matrix.size:
        raise MatrixError(f"{name} has shape {matrix.shape}: give a matrix of at least one row")
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        raise MatrixError(f"{name} row {int(np.argmin(finite))} holds a value that is not finite")
    return matrix


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    # Sums without rounding: the same on every machine, in whatever order the pairs come.
    x, y = x - math.fsum(x) / len(x), y - math.fsum(y) / len(y)
    length = math.sqrt(math.fsum(x * x)) * math.sqrt(math.fsum(y * y))
    return min(max(math.fsum(x * y) / length, -1.0), 1.0) if length > 0 else float("nan")
