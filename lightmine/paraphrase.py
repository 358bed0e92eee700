"""Paraphrase mining: the best scoring pairs within one collection."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from lightmine.engine.join import Job, Progress, check_count, join, prepare
from lightmine.engine.topk import Pairs, Rule
from lightmine.margin import check_threshold


def mine_paraphrases(
    x: ArrayLike,
    *,
    top_k: int | None = 100,
    max_pairs: int | None = 500_000,
    threshold: float | None = None,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
    kernel: str = "auto",
    progress: Progress | None = None,
) -> Pairs:
    """The best pairs of rows by cosine, exactly those of brute force over all pairs.

    The semantics are those of `paraphrase_mining_embeddings` in sentence-transformers 6.2: a pair is
    listed if either row is among the `top_k` best partners of the other, each pair stands once with
    left < right, and the `max_pairs` best are kept. Where that leaves the order of equal scores open,
    here the lower left index comes first, then the lower right index.

    Parameters
    ----------
    x : array of shape (n, d)
        Embeddings; see `lightmine.unit_rows` for what is accepted.
    top_k : int or None
        Partners that each row may list; None for all.
    max_pairs : int or None
        Pairs that are kept at most; None for all.
    threshold : float, optional
        Only pairs that score at least this.
    memory_budget : int or str
        Bytes, or "512MiB", "1GiB"...: allocated at most beyond the caller's matrix and the result.
    threads : int, optional
        Workers; by default one for each processor that the process may use.
    kernel : {"auto", "int8", "fp32"}
        How pairs are rejected; auto measures and proves what this processor does. Changes only time.
    progress : callable, optional
        Called with the number of pairs done and the number in all.

    Returns
    -------
    Pairs
        Score descending, then left, then right.

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
    check_threshold(threshold)
    job = Job(memory_budget=memory_budget, threads=threads, kernel=kernel, progress=progress)
    unit, _, budget = prepare(x, None, job)
    n = len(unit)
    # A list as long as the collection lists everything: no need to keep it.
    k = None if top_k is None or top_k >= n - 1 else top_k
    # Scores are within -2 and 2: a threshold further out means the same, and float32 holds it.
    floor = -math.inf if threshold is None else max(min(threshold, 2.0), -2.0)
    rule = Rule(n, n, one_collection=True, k_left=k, k_right=k, floor=floor, max_pairs=max_pairs)
    if n < 2:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    return join(unit, None, rule, budget=budget, job=job).pairs
