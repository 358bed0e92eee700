"""Bitext mining: translations between two collections, by margin."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lightmine.bitext.margin import Margin, margin_scores
from lightmine.bitext.pairing import Bitext, both_directions, first_k, mean_scores, pairs_of_neighbors
from lightmine.bitext.presets import OneToOne, Preset, Rank, Retrieval, margin_spec
from lightmine.engine.job import Job, KernelName, prepare
from lightmine.engine.matrix import PairScorer
from lightmine.errors import ArgumentError
from lightmine.progress import Progress
from lightmine.search import neighbors


def mine_bitext(
    source: ArrayLike,
    target: ArrayLike,
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
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
    kernel: KernelName = "auto",
    progress: Progress | bool | None = None,
    resume: str | None = None,
) -> Bitext:
    """Translations between two collections, by margin over exact neighbours in both directions.

    Artetxe and Schwenk 2019, sections 3 and 4.3. Each sentence has its k nearest on the other side
    as candidates. Its best candidate is the one with the best margin, not the nearest one. Of equal margins
    the nearer one is better, then the one with the lower index.

    Parameters
    ----------
    source, target : arrays of shape (n, d) and (m, d)
        Embeddings; see `lightmine.unit_rows` for what is accepted.
    compat : {"lightmine", "laser", "stopes", "sentence-transformers"}
        The preset: the package whose defaults are used (default "lightmine"); see docs/guides/bitext.md. Each
        option below that is None has the preset's value. The defaults named here are those of "lightmine".
    k, k_backward : int
        Neighbours of each source sentence (default 4; "stopes": 16), and of each target sentence (default
        `k`); capped at the size of the other side.
    margin : {"ratio", "distance", "absolute"}
        Default "ratio". See `lightmine.bitext.margin.margin_scores`, also for averages of zero or less.
    retrieval : {"forward", "backward", "intersect", "max"}
        forward: the best candidate of every source sentence. backward: of every target sentence.
        intersect: pairs that are each other's best. max (the default): both lists together, best first,
        each sentence used once.
    rank : {"margin", "cosine"}
        Which candidate is the best (default "margin"; "stopes": "cosine").
    n_best : int
        Candidates that each sentence proposes (default 1).
    one_to_one : {"auto", "none", "greedy", "optimal"}
        Whether each sentence is used once, in any retrieval (default "auto": greedy for "max", none for the
        others; "stopes": "none"). greedy: from the best pair down. optimal: the largest sum of margins.
    threshold, max_score : float
        Only pairs whose margin is at least, and at most, this, in any retrieval (default: no limits; "laser":
        over 0; "stopes": 1.06 and 1.25; "sentence-transformers": 1).
    min_cosine : float
        Only pairs whose cosine is at least this (default: no limit). A sentence that is far from all others
        can have a high margin without a translation.
    memory_budget, threads, kernel, progress, resume
        As in `lightmine.neighbors`.

    Returns
    -------
    Bitext

    Raises
    ------
    ArgumentError, MatrixError, BudgetError
    MissingExtraError
        one_to_one="optimal" without scipy.

    Examples
    --------
    >>> bitext = mine_bitext([[1, 0], [0, 1]], [[0, 2], [2, 0]], k=1)
    >>> list(bitext)
    [(1.0, 0, 1), (1.0, 1, 0)]
    """
    spec = margin_spec(
        compat=compat, k=k, k_backward=k_backward, margin=margin, retrieval=retrieval, rank=rank,
        n_best=n_best, one_to_one=one_to_one, threshold=threshold, max_score=max_score, min_cosine=min_cosine,
    )  # fmt: skip
    near = neighbors(
        source, target, k=max(spec.k, spec.back), both=True, memory_budget=memory_budget, threads=threads,
        kernel=kernel, progress=progress, resume=resume,
    )  # fmt: skip
    return pairs_of_neighbors(near, spec)


def score_bitext(
    source: ArrayLike,
    target: ArrayLike,
    pairs: ArrayLike | None = None,
    *,
    compat: Preset | None = None,
    k: int | None = None,
    k_backward: int | None = None,
    margin: Margin | None = None,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
    kernel: KernelName = "auto",
    progress: Progress | bool | None = None,
    resume: str | None = None,
) -> Bitext:
    """The margins of given pairs, to see how well a corpus is aligned.

    Parameters
    ----------
    source, target : arrays of shape (n, d) and (m, d)
        Embeddings. A pair is compared with neighbours from all of them.
    pairs : (p, 2) integer array, optional
        Rows of the source and of the target. Without it, row i of one side and row i of the other.
    compat, k, k_backward, margin
        As in `mine_bitext`.
    memory_budget, threads, kernel, progress, resume
        As in `lightmine.neighbors`.

    Returns
    -------
    Bitext
        One margin and cosine for each pair, in the order given.

    Raises
    ------
    ArgumentError, MatrixError, BudgetError

    Examples
    --------
    >>> scored = score_bitext([[1, 0], [0, 1]], [[3, 4], [0, 1]], k=2)
    >>> scored.score.tolist(), scored.cosine.tolist()
    ([1.2000000476837158, 1.4285714626312256], [0.6000000238418579, 1.0])
    """
    spec = margin_spec(compat=compat, k=k, k_backward=k_backward, margin=margin)
    job = Job(memory_budget=memory_budget, threads=threads, kernel=kernel, progress=progress)
    x, y, budget = prepare(source, target, job)
    assert y is not None
    rows = _aligned(len(x), len(y)) if pairs is None else np.asarray(pairs)
    if rows.ndim != 2 or rows.shape[1] != 2 or rows.dtype.kind not in "iu":
        raise ArgumentError(
            f"pairs has shape {rows.shape} and type {rows.dtype}: give two row numbers a pair"
        )
    if len(rows) and (rows.min() < 0 or (rows.max(axis=0) >= (len(x), len(y))).any()):
        raise ArgumentError(f"pairs: a row number is outside 0 to {len(x) - 1} or 0 to {len(y) - 1}")
    left, right = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
    near = neighbors(
        x, y, k=max(spec.k, spec.back), both=True, memory_budget=budget, threads=threads, kernel=kernel,
        progress=progress, resume=resume,
    )  # fmt: skip
    forward, backward = both_directions(near)
    forward, backward = (
        first_k("k", forward, backward, spec.k), first_k("k_backward", backward, forward, spec.back)
    )  # fmt: skip
    cosine = PairScorer(x, y).exact(left, right)
    score = margin_scores(
        cosine * np.float32(spec.cosine_scale), mean_scores(forward, spec)[left],
        mean_scores(backward, spec)[right], margin=spec.margin, smallest_average=spec.smallest_average,
    )  # fmt: skip
    return Bitext(left, right, score, cosine)


def _aligned(n: int, m: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    if n != m:
        raise ArgumentError(f"an aligned corpus has as many sentences on either side, not {n} and {m}")
    return np.stack([np.arange(n), np.arange(n)], axis=1)
