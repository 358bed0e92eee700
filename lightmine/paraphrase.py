"""Paraphrase mining: the best scoring pairs within one collection, or between two."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike

from lightmine._validation import check_cosine, check_count, check_threshold
from lightmine.engine.counting import top_k_was_reached
from lightmine.engine.job import Job, KernelName, prepare
from lightmine.engine.join import SimilarityJoin
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.spec import JoinSpec, Pairs
from lightmine.progress import Progress


def mine_paraphrases(
    x: ArrayLike,
    other: ArrayLike | None = None,
    *,
    top_k: int | None = 100,
    max_pairs: int | None = 500_000,
    threshold: float | None = None,
    max_score: float | None = None,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
    kernel: KernelName = "auto",
    progress: Progress | bool | None = None,
    resume: str | None = None,
) -> Pairs:
    """The best pairs of rows by cosine, exactly those of brute force over all pairs.

    The semantics are those of `paraphrase_mining_embeddings` in sentence-transformers 6.2: a pair is
    listed if either row is among the `top_k` best partners of the other, each pair is listed once with
    left < right, and the `max_pairs` best are kept. Of equal scores the lower left index is first, then the
    lower right index.

    Parameters
    ----------
    x : array of shape (n, d)
        Embeddings; see `lightmine.unit_rows` for what is accepted.
    other : array of shape (m, d), optional
        A second list: pairs are then between a row of `x` (left) and a row of `other` (right).
    top_k : int or None
        Largest number of partners that a row may list; None for all.
    max_pairs : int or None
        Largest number of pairs that are kept; None for all.
    threshold : float, optional
        Only pairs that score at least this.
    max_score : float, optional
        Only pairs that score at most this, to leave out near-copies. They count neither for `top_k` nor for
        `max_pairs`.
    memory_budget : int or str
        Bytes, or text such as "512MiB": the most that is allocated beyond the given matrices and the result.
    threads : int, optional
        Number of workers; by default one for each processor that the process may use.
    kernel : {"auto", "native", "numpy"}
        What pairs are rejected with: the compiled kernel, or float32 products of NumPy. "auto" is native if
        it is installed and the job is large enough. It changes only the time.
    progress : callable or bool, optional
        Called with the number of pairs done and the number of all pairs; True shows a bar on stderr.
    resume : str, optional
        A folder for the state of the job, which is written every minute and when the job is interrupted. The
        same call with the same folder resumes there and gives the same answer. The folder is not deleted.

    Returns
    -------
    Pairs
        Score descending, then left, then right. Its `limited_by` names the limits that left pairs out:
        "top_k", "max_pairs" or both.

    Raises
    ------
    ArgumentError, MatrixError, BudgetError

    Examples
    --------
    >>> pairs = mine_paraphrases([[1, 0], [0, 1], [3, 4]], threshold=0.5)
    >>> list(pairs)
    [(0.800000011920929, 1, 2), (0.6000000238418579, 0, 2)]
    """
    top_k, max_pairs = check_count("top_k", top_k), check_count("max_pairs", max_pairs)
    check_cosine(threshold, name="threshold")
    check_threshold(max_score, name="max_score")
    job = Job(memory_budget=memory_budget, threads=threads, kernel=kernel, progress=progress, resume=resume)
    return _mine(
        x, other, top_k=top_k, max_pairs=max_pairs, threshold=threshold, max_score=max_score, job=job
    )


def _mine(
    x: ArrayLike, other: ArrayLike | None = None, *, top_k: int | None = 100, max_pairs: int | None = 500_000,
    threshold: float | None = None, max_score: float | None = None, job: Job,
) -> Pairs:  # fmt: skip
    unit, right, budget = prepare(x, other, job)
    if len(unit) < (2 if right is None else 1) or (right is not None and not len(right)):
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    n, m = len(unit), len(unit if right is None else right)
    # A list that is as long as the other side has every row, so it need not be kept.
    k = None if top_k is None or top_k >= (n - 1 if right is None else min(n, m)) else top_k
    # Scores are between -2 and 2. A threshold outside means the same as its end, which float32 can hold.
    min_score = -math.inf if threshold is None else max(min(threshold, 2.0), -2.0)
    spec = JoinSpec(
        n, m, self_join=right is None, k_left=k, k_right=k, min_score=min_score,
        max_score=math.inf if max_score is None or max_score >= 2 else max_score, max_pairs=max_pairs,
    )  # fmt: skip
    found = SimilarityJoin(unit, right, spec, budget=budget, job=job).run().pairs
    if k is None or threshold is None or not _leaves_out(found, unit, right, spec, budget, job):
        return found
    return dataclasses.replace(found, limited_by=("top_k", *found.limited_by))


def _leaves_out(
    found: Pairs, x: FloatMatrix, other: FloatMatrix | None, spec: JoinSpec, budget: int, job: Job
) -> bool:
    """Whether `top_k` left out a pair within the limits."""
    min_score = spec.min_score
    if found.limited_by:
        # Other pairs with the score of the last one can be missing because of max_pairs.
        min_score = float(np.nextafter(found.score[-1], np.float32(np.inf)))
        found = found[found.score >= min_score]
    return top_k_was_reached(
        found, x, other, min_score=min_score, max_score=spec.max_score, top_k=spec.k_left or 0,
        budget=budget, job=job,
    )  # fmt: skip
