"""From the neighbours of both directions to pairs."""

from __future__ import annotations

import dataclasses
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_options
from lightmine.bitext.assignment import greedy, optimal
from lightmine.bitext.margin import margin_scores
from lightmine.bitext.presets import MARGIN_OPTIONS, MarginOptions, MarginRule, margin_rule
from lightmine.errors import ArgumentError
from lightmine.results import Indices, ScoredPairs
from lightmine.search import Neighbors

# Rows whose candidates are scored together: some megabytes of margins; no result depends on it.
ROWS_AT_ONCE = 1 << 16

Means = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Bitext(ScoredPairs):
    """Mined translations: margin descending, then source, then target.

    Attributes
    ----------
    left, right : int64 arrays of shape (p,)
        Rows of the source and of the target.
    score : float32 array of shape (p,)
        The margin.
    cosine : float32 array of shape (p,)

    Iterating gives ``(score, left, right)`` tuples of Python numbers, and so does an integer index; slices,
    masks and arrays of row numbers give a `Bitext`. ``==`` compares contents.
    """

    cosine: NDArray[np.float32]


def retrieve(near: Neighbors, **options: Unpack[MarginOptions]) -> Bitext:
    """From the neighbours of both directions to pairs; the options are those of `lightmine.mine_bitext`.

    Parameters
    ----------
    near : Neighbors
        Of both directions. `k` and `k_backward` may be anything up to how many they are, and are all of
        them where neither they nor a peer's preset say otherwise.

    Raises
    ------
    ArgumentError
        One direction only, fewer neighbours than `k`, or an option out of range.

    Examples
    --------
    >>> from lightmine import neighbors
    >>> near = neighbors([[1, 0], [0, 1]], [[0, 2], [2, 0]], k=2, both=True)
    >>> list(retrieve(near, margin="absolute", retrieval="forward"))
    [(1.0, 0, 1), (1.0, 1, 0)]
    """
    check_options(options, MARGIN_OPTIONS, of="retrieve")
    near, back = both_directions(near)
    if not options.get("compat") and options.get("k") is None:
        options["k"] = max(1, near.index.shape[1])
        options["k_backward"] = options.get("k_backward") or max(1, back.index.shape[1])
    rule = margin_rule(**options)
    near, back = counted("k", near, back, rule.k), counted("k_backward", back, near, rule.back)
    left_mean, right_mean = mean_scores(near, rule), mean_scores(back, rule)
    forward = _best(near, left_mean, right_mean, rule)
    backward = _best(back, right_mean, left_mean, rule)
    backward = Bitext(backward.right, backward.left, backward.score, backward.cosine)
    if rule.retrieval == "forward":
        found = forward
    elif rule.retrieval == "backward":
        found = backward
    else:
        mutual = np.isin(_keys(backward, len(back.index)), _keys(forward, len(back.index)))
        found = backward[mutual] if rule.retrieval == "intersect" else _joined(forward, backward[~mutual])
    found = found[rule.admits(found.score, found.cosine)]
    found = found[np.lexsort((found.right, found.left, -found.score))]
    if rule.matching == "greedy":
        found = found[greedy(found.left, found.right)]
    elif rule.matching == "optimal":
        found = found[optimal(found.left, found.right, found.score)]
    return found if rule.max_score is None else found[found.score.astype(np.float64) <= rule.max_score]


def both_directions(near: Neighbors) -> tuple[Neighbors, Neighbors]:
    """The neighbours of either side."""
    if near.reverse is None:
        raise ArgumentError("neighbours of both directions are needed: call neighbors(..., both=True)")
    return near, near.reverse


def counted(name: str, near: Neighbors, other: Neighbors, k: int) -> Neighbors:
    """The first k neighbours of each row, or all rows of the other side where it has fewer."""
    there = near.index.shape[1]
    if there < min(k, len(other.index)) and len(near.index):
        raise ArgumentError(
            f"{name} is {k} and there are only {there} neighbours of each sentence; ask for no more, "
            "or mine again with a larger k"
        )
    return Neighbors(near.index[:, :k], near.score[:, :k])


def mean_scores(near: Neighbors, rule: MarginRule) -> Means:
    """Mean cosine of each row to its neighbours, on the rule's scale."""
    if not near.score.size:
        return np.zeros(len(near.score))
    means: Means = near.score.mean(axis=1, dtype=np.float64) * rule.cosine_scale
    return means


def _best(near: Neighbors, own_mean: Means, other_mean: Means, rule: MarginRule) -> Bitext:
    """The best candidates of each row, as pairs (row, candidate)."""
    parts = []
    n_best = min(rule.n_best, near.index.shape[1])
    for start in range(0, len(near.index), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        index, cosine = near.index[rows], near.score[rows]
        scores = margin_scores(
            cosine * np.float32(rule.cosine_scale), own_mean[rows, None], other_mean[index],
            margin=rule.margin, smallest_average=rule.smallest_average,
        )  # fmt: skip
        # Neighbours stand nearest first: a stable sort leaves equal margins in that order.
        columns = (
            np.argsort(-scores, axis=1, kind="stable")[:, :n_best]
            if rule.rank == "margin"
            else np.broadcast_to(np.arange(n_best), (len(index), n_best))
        )
        row = np.repeat(np.arange(start, start + len(index)), n_best)
        candidates, margins, cosines = (
            np.take_along_axis(index, columns, axis=1).ravel(),
            np.take_along_axis(scores, columns, axis=1).ravel(),
            np.take_along_axis(cosine, columns, axis=1).ravel(),
        )
        parts.append(Bitext(row, candidates, margins, cosines))
    return _joined(*parts)


def _keys(pairs: Bitext, m: int) -> Indices:
    keys: Indices = pairs.left * m + pairs.right
    return keys


def _joined(*parts: Bitext) -> Bitext:
    types = (np.int64, np.int64, np.float32, np.float32)
    names = [field.name for field in dataclasses.fields(Bitext)]
    return Bitext(
        *(
            np.concatenate([np.empty(0, type_), *(getattr(part, name) for part in parts)])
            for name, type_ in zip(names, types, strict=True)
        )
    )
