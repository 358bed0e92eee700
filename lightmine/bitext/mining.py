"""Bitext mining: translations between two collections, by margin."""

from __future__ import annotations

import dataclasses
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from lightmine._validation import check_options
from lightmine.bitext.margin import margin_scores
from lightmine.bitext.pairing import Bitext, both_directions, counted, mean_scores, retrieve
from lightmine.bitext.presets import MARGIN_OPTIONS, MarginOptions, margin_rule
from lightmine.engine.job import Job, Progress, prepare
from lightmine.engine.matrix import PairScorer
from lightmine.errors import ArgumentError
from lightmine.search import neighbors

OPTIONS = (*MARGIN_OPTIONS, *(field.name for field in dataclasses.fields(Job)))


def mine_bitext(
    source: ArrayLike,
    target: ArrayLike,
    *,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
    kernel: str = "auto",
    progress: Progress | bool | None = None,
    resume: str | None = None,
    **options: Unpack[MarginOptions],
) -> Bitext:
    """Translations between two collections, by margin over exact neighbours in both directions.

    Artetxe and Schwenk 2019, sections 3 and 4.3. Each sentence has its k nearest on the other side
    as candidates; its best candidate is the one with the best margin, not the nearest (equal margins:
    the nearer, then the lower index).

    Parameters
    ----------
    source, target : arrays of shape (n, d) and (m, d)
        Embeddings; see `lightmine.unit_rows` for what is accepted.
    memory_budget, threads, kernel, progress, resume
        As in `lightmine.neighbors`.
    compat : {"lightmine", "laser", "stopes", "sentence-transformers"}
        Whose ways to mine by where nothing else is said; see docs/guides/bitext.md.
    k, k_backward : int
        Neighbours of each source sentence (default 4), and of each target sentence (as many); capped at the
        size of the other side.
    margin : {"ratio", "distance", "absolute"}
        See `lightmine.bitext.margin.margin_scores`, also for averages of zero or less.
    retrieval : {"forward", "backward", "intersect", "max"}
        forward: the best candidate of every source sentence. backward: of every target sentence.
        intersect: pairs that are each other's best. max: both lists together, best first, each
        sentence used once.
    rank : {"margin", "cosine"}
        What makes a candidate the best.
    n_best : int
        Candidates that each sentence proposes (default 1).
    one_to_one : {"auto", "none", "greedy", "optimal"}
        Whether each sentence is used once, in whatever retrieval; see `lightmine.bitext.presets.MarginRule`.
    threshold, max_score : float, optional
        Only pairs whose margin is at least, and at most, this, whatever the retrieval.
    min_cosine : float, optional
        Only pairs whose cosine is at least this: where no translation is present, a sentence far from all
        others can still have a high margin.

    Returns
    -------
    Bitext

    Raises
    ------
    ArgumentError, OptionError, MatrixError, BudgetError
    MissingExtraError
        one_to_one="optimal" without scipy.

    Examples
    --------
    >>> bitext = mine_bitext([[1, 0], [0, 1]], [[0, 2], [2, 0]], k=1)
    >>> list(bitext)
    [(1.0, 0, 1), (1.0, 1, 0)]
    """
    check_options(options, OPTIONS, of="mine_bitext")
    rule = margin_rule(**options)
    near = neighbors(
        source, target, k=max(rule.k, rule.back), both=True, memory_budget=memory_budget, threads=threads,
        kernel=kernel, progress=progress, resume=resume,
    )  # fmt: skip
    return retrieve(near, **options | {"k": rule.k, "k_backward": rule.back})


def score_bitext(
    source: ArrayLike,
    target: ArrayLike,
    pairs: ArrayLike | None = None,
    *,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
    kernel: str = "auto",
    progress: Progress | bool | None = None,
    resume: str | None = None,
    **options: Unpack[MarginOptions],
) -> Bitext:
    """The margins of pairs that are given: how well a corpus that is aligned already is aligned.

    Parameters
    ----------
    source, target : arrays of shape (n, d) and (m, d)
        Embeddings; the neighbours that a pair is compared with come from all of them.
    pairs : (p, 2) integer array, optional
        Rows of the source and of the target; without it, row i of one side and row i of the other.
    memory_budget, threads, kernel, progress, resume, and options
        As in `mine_bitext`; of the options compat, k, k_backward and margin matter here.

    Returns
    -------
    Bitext
        One margin and cosine for each pair, in the order given.

    Raises
    ------
    ArgumentError, OptionError, MatrixError, BudgetError

    Examples
    --------
    >>> scored = score_bitext([[1, 0], [0, 1]], [[3, 4], [0, 1]], k=2)
    >>> scored.score.tolist(), scored.cosine.tolist()
    ([1.2000000476837158, 1.4285714626312256], [0.6000000238418579, 1.0])
    """
    check_options(options, OPTIONS, of="score_bitext")
    rule = margin_rule(**options)
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
        x, y, k=max(rule.k, rule.back), both=True, memory_budget=budget, threads=threads, kernel=kernel,
        progress=progress, resume=resume,
    )  # fmt: skip
    forward, backward = both_directions(near)
    forward, backward = (
        counted("k", forward, backward, rule.k), counted("k_backward", backward, forward, rule.back)
    )  # fmt: skip
    cosine = PairScorer(x, y).exact(left, right)
    score = margin_scores(
        cosine * np.float32(rule.cosine_scale), mean_scores(forward, rule)[left],
        mean_scores(backward, rule)[right], margin=rule.margin, smallest_average=rule.smallest_average,
    )  # fmt: skip
    return Bitext(left, right, score, cosine)


def _aligned(n: int, m: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    if n != m:
        raise ArgumentError(f"an aligned corpus has as many sentences on either side, not {n} and {m}")
    return np.stack([np.arange(n), np.arange(n)], axis=1)
