"""How good embeddings and mined pairs are: retrieval, similarity, bitext mining, paraphrase mining.

Every figure is a fraction between 0 and 1 (a correlation between -1 and 1), and every function says
what it does with ties.
"""

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


@dataclasses.dataclass(frozen=True)
class MiningQuality:
    """Mined pairs against gold pairs, at the threshold of the best F1.

    A pair is taken when its score is at least `threshold`. `average_precision` is over all mined pairs.
    """

    precision: float
    recall: float
    f1: float
    threshold: float
    average_precision: float


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


def bitext_mining(left: ArrayLike, right: ArrayLike, score: ArrayLike, gold: ArrayLike) -> MiningQuality:
    """Precision, recall and F1 of mined translations, at the best threshold (the BUCC measure).

    A mined pair is right if it is a gold pair. The threshold that gives the best F1 is chosen on the
    gold itself, as is usual for BUCC (Zweigenbaum et al. 2017, "Overview of the second BUCC shared
    task"; Artetxe and Schwenk 2019, "Margin-based parallel corpus mining", section 4.2). It is
    halfway between the lowest score taken and the next one, as LASER and sentence-transformers put it;
    pairs of equal score are taken together, and the higher threshold wins where two give the same F1.

    Parameters
    ----------
    left, right : (p,) integer arrays
        Source and target numbers of the mined pairs, in any order; a pair may occur once.
    score : (p,) array
        Their scores, higher is better.
    gold : (g, 2) integer array
        The true pairs, source and target.

    Returns
    -------
    MiningQuality
        The best point; all zeros, with an infinite threshold, where no mined pair is right.

    Raises
    ------
    ArgumentError
        Lengths differ, gold is empty, a pair is mined twice, or a score is not a number.

    Examples
    --------
    >>> quality = bitext_mining([0, 1, 2], [0, 1, 0], [1.3, 1.2, 0.9], [(0, 0), (1, 1), (2, 2)])
    >>> round(quality.f1, 3), round(quality.threshold, 3)
    (0.8, 1.05)
    """
    return _quality(_pairs(left, right, score), _gold(gold, symmetric=False))


def paraphrase_mining(left: ArrayLike, right: ArrayLike, score: ArrayLike, gold: ArrayLike) -> MiningQuality:
    """Average precision and best F1 of mined paraphrases.

    The definition of sentence-transformers' `ParaphraseMiningEvaluator`: going down the mined pairs by
    score, average precision is the sum of precision x newly found gold pairs, over the number of gold
    pairs; gold pairs that were not mined count as never found. Pairs of equal score are taken together.
    The threshold is halfway between the last score taken and the next one, and the higher threshold
    wins where two give the same F1. (i, j) and (j, i) are one pair, mined and in gold.

    Parameters
    ----------
    left, right : (p,) integer arrays
        Sentence numbers of the mined pairs, in any order; a pair may occur once.
    score : (p,) array
        Their scores, higher is better.
    gold : (g, 2) integer array
        The true pairs, transitively closed if that is wanted.

    Returns
    -------
    MiningQuality
        The best point; all zeros, with an infinite threshold, where no mined pair is right.

    Raises
    ------
    ArgumentError
        Lengths differ, gold is empty, a pair is mined twice, or a score is not a number.

    Examples
    --------
    >>> quality = paraphrase_mining([0, 0, 1], [1, 2, 2], [0.9, 0.8, 0.7], [(0, 1), (2, 1)])
    >>> round(quality.average_precision, 3), round(quality.f1, 3), quality.precision
    (0.833, 0.8, 0.6666666666666666)
    """
    pairs, scores = _pairs(left, right, score)
    ordered = np.sort(pairs, axis=1)
    _refuse_repeats(ordered)
    return _quality((ordered, scores), _gold(gold, symmetric=True))


def transitive_closure(pairs: ArrayLike) -> NDArray[np.int64]:
    """Every pair of rows that are joined by a chain of pairs: paraphrases of paraphrases.

    Parameters
    ----------
    pairs : (p, 2) integer array

    Returns
    -------
    (q, 2) int64 array
        Distinct pairs, the lower row first, in order.

    Raises
    ------
    ArgumentError
        `pairs` is empty or does not hold two numbers a pair.

    Examples
    --------
    >>> transitive_closure([(0, 1), (2, 1), (5, 4)]).tolist()
    [[0, 1], [0, 2], [1, 2], [4, 5]]
    """
    group: dict[int, list[int]] = {}
    for left, right in _gold(pairs, symmetric=True).tolist():
        joined = group.setdefault(left, [left])
        other = group.setdefault(right, [right])
        if joined is not other:
            joined.extend(other)
            group.update((row, joined) for row in other)
    groups = {id(rows): sorted(rows) for rows in group.values()}
    closed = [(a, b) for rows in groups.values() for at, a in enumerate(rows) for b in rows[at + 1 :]]
    return np.array(sorted(closed), np.int64).reshape(-1, 2)


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


def _pairs(
    left: ArrayLike, right: ArrayLike, score: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    columns = [np.asarray(left), np.asarray(right), np.asarray(score, np.float64)]
    lengths = [column.shape for column in columns]
    if len(set(lengths)) > 1 or columns[0].ndim != 1:
        raise ArgumentError(
            f"left, right and score have shapes {lengths}: give one value a mined pair in each"
        )
    if np.isnan(columns[2]).any():
        raise ArgumentError(f"score[{int(np.argmax(np.isnan(columns[2])))}] is not a number")
    pairs = np.stack(columns[:2], axis=1).astype(np.int64)
    _refuse_repeats(pairs)
    return pairs, columns[2]


def _refuse_repeats(pairs: NDArray[np.int64]) -> None:
    unique_texts, counts = np.unique(pairs, axis=0, return_counts=True)
    if len(unique_texts) < len(pairs):
        first, second = unique_texts[np.argmax(counts > 1)]
        raise ArgumentError(f"the pair ({first}, {second}) was mined more than once: give each pair once")


def _gold(gold: ArrayLike, *, symmetric: bool) -> NDArray[np.int64]:
    pairs = np.asarray(gold)
    if not pairs.size:
        raise ArgumentError("gold is empty: there is nothing to find")
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ArgumentError(f"gold has shape {pairs.shape}: give two numbers a pair")
    return np.unique(np.sort(pairs, axis=1) if symmetric else pairs, axis=0).astype(np.int64)


def _quality(mined: tuple[NDArray[np.int64], NDArray[np.float64]], gold: NDArray[np.int64]) -> MiningQuality:
    """Walk down the scores, a group of equal scores at a time, and keep the best F1."""
    pairs, score = mined
    order = np.argsort(-score, kind="stable")
    known = set(map(tuple, gold.tolist()))
    right = np.array([tuple(pair) in known for pair in pairs[order].tolist()], bool)
    score = score[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else np.zeros(0, np.int64)
    found = np.cumsum(right)[ends] if len(score) else ends
    if not len(found) or not found[-1]:
        return MiningQuality(0.0, 0.0, 0.0, float("inf"), 0.0)
    precision, recall = found / (ends + 1), found / len(gold)
    # 2pr / (p + r), written without the division by zero where nothing is found yet.
    f1 = 2 * found / (ends + 1 + len(gold))
    best = int(np.argmax(f1))
    threshold = score[ends[best]]
    if ends[best] + 1 < len(score):
        threshold = (threshold + score[ends[best] + 1]) / 2
    average_precision = float((precision * np.diff(found, prepend=0)).sum() / len(gold))
    return MiningQuality(
        float(precision[best]), float(recall[best]), float(f1[best]), float(threshold), average_precision
    )
