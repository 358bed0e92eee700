"""Pairs of the neighbours of both directions."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from lightmine.bitext.assignment import greedy, optimal
from lightmine.bitext.margin import Margin, margin_scores
from lightmine.bitext.presets import MarginSpec, OneToOne, Preset, Rank, Retrieval, margin_spec
from lightmine.errors import ArgumentError
from lightmine.results import Indices, ScoredPairs
from lightmine.search import Neighbors

# Rows whose candidates are scored together, so that margins take some megabytes. It changes no result.
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


def retrieve(
    near: Neighbors,
    *,
    compat: Preset | None = None,
    k: int | None = None,
    k_backward: int | None = None,
    margin: Margin | None = None,
    retrieval: Retrieval | None = None,
    rank: Rank | None = None,
    n_best: int | None = None,
    one_to_one: OneToOne | None = None,
    threshold: float | None = None,
    max_score: float | None = None,
    min_cosine: float | None = None,
) -> Bitext:
    """Make pairs of neighbours, as `lightmine.mine_bitext` does.

    Parameters
    ----------
    near : Neighbors
        Of both directions, as `neighbors(..., both=True)` finds them.
    k, k_backward : int
        Neighbours that are used, at most as many as there are. Default: all of them, or the preset's value
        if `compat` is given.
    compat, margin, retrieval, rank, n_best, one_to_one, threshold, max_score, min_cosine
        As in `lightmine.mine_bitext`. None is the preset's value.

    Returns
    -------
    Bitext

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
    forward, backward = both_directions(near)
    if compat is None and k is None:
        k = max(1, forward.index.shape[1])
        k_backward = k_backward or max(1, backward.index.shape[1])
    spec = margin_spec(
        compat=compat, k=k, k_backward=k_backward, margin=margin, retrieval=retrieval, rank=rank,
        n_best=n_best, one_to_one=one_to_one, threshold=threshold, max_score=max_score, min_cosine=min_cosine,
    )  # fmt: skip
    return pairs_of_neighbors(near, spec)


def pairs_of_neighbors(near: Neighbors, spec: MarginSpec) -> Bitext:
    """Make pairs of the neighbours of both directions."""
    near, back = both_directions(near)
    near, back = first_k("k", near, back, spec.k), first_k("k_backward", back, near, spec.back)
    left_mean, right_mean = mean_scores(near, spec), mean_scores(back, spec)
    forward = _best(near, left_mean, right_mean, spec)
    backward = _best(back, right_mean, left_mean, spec)
    backward = Bitext(backward.right, backward.left, backward.score, backward.cosine)
    if spec.retrieval == "forward":
        found = forward
    elif spec.retrieval == "backward":
        found = backward
    else:
        mutual = np.isin(_keys(backward, len(back.index)), _keys(forward, len(back.index)))
        found = backward[mutual] if spec.retrieval == "intersect" else _joined(forward, backward[~mutual])
    found = found[spec.admits(found.score, found.cosine)]
    found = found[np.lexsort((found.right, found.left, -found.score))]
    if spec.matching == "greedy":
        found = found[greedy(found.left, found.right)]
    elif spec.matching == "optimal":
        found = found[optimal(found.left, found.right, found.score)]
    return found if spec.max_score is None else found[found.score.astype(np.float64) <= spec.max_score]


def both_directions(near: Neighbors) -> tuple[Neighbors, Neighbors]:
    """The neighbours of either side."""
    if near.reverse is None:
        raise ArgumentError("neighbours of both directions are needed: call neighbors(..., both=True)")
    return near, near.reverse


def first_k(name: str, near: Neighbors, other: Neighbors, k: int) -> Neighbors:
    """The first k neighbours of each row, or all rows of the other side where it has fewer."""
    there = near.index.shape[1]
    if there < min(k, len(other.index)) and len(near.index):
        raise ArgumentError(
            f"{name} is {k} and there are only {there} neighbours of each sentence; ask for no more, "
            "or mine again with a larger k"
        )
    return Neighbors(near.index[:, :k], near.score[:, :k])


def mean_scores(near: Neighbors, spec: MarginSpec) -> Means:
    """Mean cosine of each row to its neighbours, on the scale of the specification."""
    if not near.score.size:
        return np.zeros(len(near.score))
    means: Means = near.score.mean(axis=1, dtype=np.float64) * spec.cosine_scale
    return means


def _best(near: Neighbors, own_mean: Means, other_mean: Means, spec: MarginSpec) -> Bitext:
    """The best candidates of each row, as pairs (row, candidate)."""
    parts = []
    n_best = min(spec.n_best, near.index.shape[1])
    for start in range(0, len(near.index), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        index, cosine = near.index[rows], near.score[rows]
        scores = margin_scores(
            cosine * np.float32(spec.cosine_scale), own_mean[rows, None], other_mean[index],
            margin=spec.margin, smallest_average=spec.smallest_average,
        )  # fmt: skip
        # The nearest neighbour is first: a stable sort leaves equal margins in that order.
        columns = (
            np.argsort(-scores, axis=1, kind="stable")[:, :n_best]
            if spec.rank == "margin"
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
