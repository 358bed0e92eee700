"""Precision and recall at each threshold, and the choice of a threshold."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightmine.errors import ArgumentError

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Curve:
    """Precision, recall and F1 at each threshold; the highest threshold first.

    Attributes
    ----------
    threshold : float64 array of shape (t,)
        Halfway between the last score taken and the next one; the last threshold is the last score.
    taken : int64 array of shape (t,)
        Pairs at or over the threshold.
    precision, recall, f1 : float64 arrays of shape (t,)
        Fractions. Recall is of the gold pairs, or of the expected number of true pairs among all that were
        mined.
    estimated : bool
        Whether they are estimates without gold.
    """

    threshold: Floats
    taken: NDArray[np.int64]
    precision: Floats
    recall: Floats
    f1: Floats
    estimated: bool

    def __len__(self) -> int:
        return len(self.threshold)

    def thinned(self, most: int) -> Curve:
        """At most so many of the thresholds, evenly by rank, with the first and the last."""
        places = np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(np.int64))
        return Curve(
            self.threshold[places], self.taken[places], self.precision[places], self.recall[places],
            self.f1[places], self.estimated,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A threshold, with precision, recall and F1 on the curve that it was chosen on."""

    threshold: float
    taken: int
    precision: float
    recall: float
    f1: float


def curve_of(score: ArrayLike, true: ArrayLike, *, gold: int | None = None) -> Curve:
    """Precision, recall and F1 of mined pairs. Pairs of equal score are taken together.

    Parameters
    ----------
    score : (p,) array
        Scores of mined pairs, in any order.
    true : (p,) array
        1 for a true pair and 0 for a false one, or the probability that it is true.
    gold : int, optional
        Number of true pairs, mined or not; without it `true` is an estimate.

    Raises
    ------
    ArgumentError
        No pair was mined, or the lengths differ.

    Examples
    --------
    >>> curve = curve_of([0.9, 0.8, 0.8, 0.2], [1, 1, 0, 0], gold=2)
    >>> curve.threshold.round(2).tolist(), curve.taken.tolist(), curve.precision.round(2).tolist()
    ([0.85, 0.5, 0.2], [1, 3, 4], [1.0, 0.67, 0.5])
    """
    scores, truth = np.asarray(score, np.float64), np.asarray(true, np.float64)
    if not len(scores) or scores.shape != truth.shape:
        raise ArgumentError(f"{len(scores)} scores and {len(truth)} judgements: there is no curve to draw")
    order = np.argsort(-scores, kind="stable")
    scores, truth = scores[order], truth[order]
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    taken, found = ends + 1, np.cumsum(truth)[ends]
    # An estimated number of true pairs can fall when more pairs are taken; the recall must not.
    most_found = np.maximum.accumulate(found)
    total = float(most_found[-1]) if gold is None else float(gold)
    threshold = scores[ends].copy()
    threshold[:-1] = (threshold[:-1] + threshold[1:]) / 2
    return Curve(
        threshold, taken.astype(np.int64), found / taken, most_found / max(total, 1e-12),
        2 * found / (taken + max(total, 1e-12)), gold is None,
    )  # fmt: skip


def choose(curve: Curve, *, precision: float | None = None) -> Threshold:
    """Choose the threshold of the best F1, or the lowest one with a given precision.

    Parameters
    ----------
    curve : Curve
    precision : float, optional
        Over 0 and at most 1.

    Raises
    ------
    ArgumentError
        Out of range, or no threshold reaches it; the message names the best one.

    Examples
    --------
    >>> curve = curve_of([0.9, 0.8, 0.7, 0.2], [1, 1, 0, 0], gold=2)
    >>> choose(curve).threshold, choose(curve, precision=0.6).taken
    (0.75, 3)
    """
    if precision is None:
        place = int(np.argmax(curve.f1))
    else:
        if not 0 < precision <= 1:
            raise ArgumentError(f"a precision is over 0 and at most 1, not {precision}")
        reached = np.flatnonzero(curve.precision >= precision)
        if not len(reached):
            best = int(np.argmax(curve.precision))
            kind = "estimated " if curve.estimated else ""
            if curve.precision[best] <= 0:
                raise ArgumentError(
                    "nothing tells the mined pairs from unrelated ones: no threshold is any good"
                )
            raise ArgumentError(
                f"no threshold reaches a{'n' if kind else ''} {kind}precision of {precision:.0%}; "
                f"the best is {curve.precision[best]:.0%}, at {curve.threshold[best]:.4f}"
            )
        place = int(reached[-1])
    return Threshold(
        float(curve.threshold[place]), int(curve.taken[place]), float(curve.precision[place]),
        float(curve.recall[place]), float(curve.f1[place]),
    )  # fmt: skip
