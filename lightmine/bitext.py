"""Bitext mining: translations between two collections, by margin."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightmine.engine.join import Progress
from lightmine.engine.neighbors import Neighbors, neighbors
from lightmine.errors import ArgumentError
from lightmine.margin import MARGINS, margin_scores
from lightmine.paraphrase import check_threshold

RETRIEVALS = ("forward", "backward", "intersect", "max")


@dataclasses.dataclass(frozen=True)
class Bitext:
    """Mined translations: margin descending, then source, then target.

    Attributes
    ----------
    left, right : int64 arrays of shape (p,)
        Rows of the source and of the target.
    score : float32 array of shape (p,)
        The margin.
    cosine : float32 array of shape (p,)

    Iterating gives ``(score, left, right)`` tuples of Python numbers.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    score: NDArray[np.float32]
    cosine: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.score)

    def __iter__(self) -> Iterator[tuple[float, int, int]]:
        return zip(self.score.tolist(), self.left.tolist(), self.right.tolist(), strict=True)

    def __getitem__(self, chosen: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Bitext:
        return Bitext(self.left[chosen], self.right[chosen], self.score[chosen], self.cosine[chosen])


def mine_bitext(
    source: ArrayLike,
    target: ArrayLike,
    *,
    k: int = 4,
    margin: str = "ratio",
    retrieval: str = "max",
    threshold: float | None = None,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
    kernel: str = "auto",
    progress: Progress | None = None,
) -> Bitext:
    """Translations between two collections, by margin over exact neighbours in both directions.

    Artetxe and Schwenk 2019, sections 3 and 4.3. Each sentence has its k nearest on the other side
    as candidates; its best candidate is the one with the best margin, not the nearest (equal margins:
    the lower index).

    Parameters
    ----------
    source, target : arrays of shape (n, d) and (m, d)
        Embeddings; see `lightmine.unit_rows` for what is accepted.
    k : int
        Neighbours in each direction; capped at the size of the other side.
    margin : {"ratio", "distance", "absolute"}
        See `lightmine.margin.margin_scores`, also for averages of zero or less.
    retrieval : {"forward", "backward", "intersect", "max"}
        forward: the best candidate of every source sentence. backward: of every target sentence.
        intersect: pairs that are each other's best. max: both lists together, best first, each
        sentence used once.
    threshold : float, optional
        Only pairs whose margin is at least this, whatever the retrieval.
    memory_budget, threads, kernel, progress
        As in `lightmine.neighbors`.

    Returns
    -------
    Bitext

    Raises
    ------
    ArgumentError, MatrixError, BudgetError

    Examples
    --------
    >>> bitext = mine_bitext([[1, 0], [0, 1]], [[0, 2], [2, 0]], k=1)
    >>> list(bitext)
    [(1.0, 0, 1), (1.0, 1, 0)]
    """
    check_choice("margin", margin, MARGINS)
    check_choice("retrieval", retrieval, RETRIEVALS)
    check_threshold(threshold)
    near = neighbors(
        source,
        target,
        k=k,
        both=True,
        memory_budget=memory_budget,
        threads=threads,
        kernel=kernel,
        progress=progress,
    )
    return retrieve(near, margin=margin, retrieval=retrieval, threshold=threshold)


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is not one of the choices."""
    if value not in choices:
        raise ArgumentError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def retrieve(
    near: Neighbors, *, margin: str = "ratio", retrieval: str = "max", threshold: float | None = None
) -> Bitext:
    """From the neighbours of both directions to pairs; see `mine_bitext`.

    Examples
    --------
    >>> near = neighbors([[1, 0], [0, 1]], [[0, 2], [2, 0]], k=2, both=True)
    >>> list(retrieve(near, margin="absolute", retrieval="forward"))
    [(1.0, 0, 1), (1.0, 1, 0)]
    """
    if near.reverse is None:
        raise ArgumentError("neighbours of both directions are needed: call neighbors(..., both=True)")
    left_mean, right_mean = _means(near.score), _means(near.reverse.score)
    forward = _best(near, left_mean, right_mean, margin)
    backward = _best(near.reverse, right_mean, left_mean, margin)
    backward = Bitext(backward.right, backward.left, backward.score, backward.cosine)
    if retrieval == "forward":
        found = _ordered(forward)
    elif retrieval == "backward":
        found = _ordered(backward)
    elif retrieval == "intersect":
        found = _ordered(forward[_mutual(forward, backward)])
    else:
        found = _one_to_one(_ordered(_joined(forward, backward)), len(near.index), len(near.reverse.index))
    # In float64: NumPy would round the threshold to float32, and let in scores just under it.
    return found if threshold is None else found[found.score.astype(np.float64) >= min(threshold, 10**300)]


def _means(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    return scores.mean(axis=1, dtype=np.float64) if scores.size else np.zeros(len(scores))


def _best(
    near: Neighbors, own_mean: NDArray[np.float64], other_mean: NDArray[np.float64], margin: str
) -> Bitext:
    """The best candidate of each row by margin, as pairs (row, candidate)."""
    if not near.index.size:
        empty = np.empty(0, np.int64)
        return Bitext(empty, empty, np.empty(0, np.float32), np.empty(0, np.float32))
    scores = margin_scores(near.score, own_mean[:, None], other_mean[near.index], margin=margin)
    ties = scores == scores.max(axis=1, keepdims=True)
    column = np.where(ties, near.index, np.iinfo(np.int64).max).argmin(axis=1)
    row = np.arange(len(scores))
    return Bitext(row, near.index[row, column], scores[row, column], near.score[row, column])


def _mutual(forward: Bitext, backward: Bitext) -> NDArray[np.bool_]:
    """Which forward pairs are backward pairs too; every source, and every target, stands once."""
    if not len(forward):
        return np.zeros(0, bool)
    mutual: NDArray[np.bool_] = backward.left[forward.right] == forward.left
    return mutual


def _joined(a: Bitext, b: Bitext) -> Bitext:
    fields = [field.name for field in dataclasses.fields(Bitext)]
    return Bitext(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in fields))


def _ordered(pairs: Bitext) -> Bitext:
    return pairs[np.lexsort((pairs.right, pairs.left, -pairs.score))]


def _one_to_one(pairs: Bitext, n: int, m: int) -> Bitext:
    """Greedy: from the best pair down, each source and each target is used once."""
    free_left, free_right = bytearray(b"\1") * n, bytearray(b"\1") * m
    chosen = np.zeros(len(pairs), bool)
    for place, (left, right) in enumerate(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)):
        if free_left[left] and free_right[right]:
            free_left[left] = free_right[right] = 0
            chosen[place] = True
    return pairs[chosen]
