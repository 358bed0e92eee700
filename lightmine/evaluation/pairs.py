"""The quality of mined pairs: translations and paraphrases."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightmine.errors import ArgumentError


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
    unique, counts = np.unique(pairs, axis=0, return_counts=True)
    if len(unique) < len(pairs):
        first, second = unique[np.argmax(counts > 1)]
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
