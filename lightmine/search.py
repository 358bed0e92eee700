"""Exact nearest neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightmine._validation import check_count
from lightmine.engine import native
from lightmine.engine.corpus import Corpus
from lightmine.engine.job import Job, KernelName, prepare
from lightmine.engine.join import SimilarityJoin
from lightmine.engine.spec import JoinSpec
from lightmine.engine.top_k import Scores, descending
from lightmine.progress import Progress
from lightmine.results import (
    REPR_ROWS,
    Indices,
    Result,
    RowIndex,
    RowSelection,
    ScoredPair,
    normalize_index,
    score_range,
)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Neighbors(Result):
    """The k nearest rows of each row, nearest first; of equal scores, the lower index first.

    Attributes
    ----------
    index : int64 array of shape (n, k)
    score : float32 array of shape (n, k)
    reverse : Neighbors or None
        The other direction, of shape (m, k), if `both` was given.

    An integer index gives the neighbours of that row as ``(score, left, right)`` tuples of Python numbers,
    ``left`` being the row, and iterating gives them row by row. Slices, masks and arrays of row numbers give
    `Neighbors` of those rows, which count from 0 again, without `reverse`. ``==`` compares contents.
    """

    index: Indices
    score: Scores
    reverse: Neighbors | None = None

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[list[ScoredPair]]:
        return (self[row] for row in range(len(self)))

    @overload
    def __getitem__(self, chosen: RowIndex) -> list[ScoredPair]: ...
    @overload
    def __getitem__(self, chosen: RowSelection) -> Neighbors: ...
    def __getitem__(self, chosen: RowIndex | RowSelection) -> list[ScoredPair] | Neighbors:
        where = normalize_index(chosen, len(self))
        if isinstance(where, int):
            found = zip(self.score[where].tolist(), self.index[where].tolist(), strict=True)
            return [(score, where, other) for score, other in found]
        return Neighbors(self.index[where], self.score[where])

    def __repr__(self) -> str:
        rows, k = self.index.shape
        size = f"Neighbors({rows:,} {'row' if rows == 1 else 'rows'}, k={k}"
        both = "" if self.reverse is None else f", reverse: {len(self.reverse):,} rows"
        if not self.score.size:
            return f"{size}{both})"
        first = self.index[0, :REPR_ROWS].tolist()
        more = ", ..." if k > REPR_ROWS else ""
        nearest = f"row 0: {', '.join(map(str, first))}{more}"
        return f"{size}, scores {score_range(self.score)}{both}; {nearest})"

    def _columns(self) -> dict[str, NDArray[Any]]:
        left = np.repeat(np.arange(len(self.index)), self.index.shape[1])
        return {"left": left, "right": self.index.ravel(), "score": self.score.ravel()}


def neighbors(
    x: ArrayLike,
    y: ArrayLike | Corpus | None = None,
    *,
    k: int = 10,
    both: bool = False,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
    kernel: KernelName = "auto",
    progress: Progress | bool | None = None,
    resume: str | None = None,
) -> Neighbors:
    """The exact k nearest rows of `y` for each row of `x`, by cosine.

    Parameters
    ----------
    x : array of shape (n, d)
        Embeddings; see `lightmine.unit_rows` for what is accepted.
    y : array of shape (m, d), or Corpus, optional
        The other side. Without it, the neighbours are rows of `x`, and no row is its own neighbour. A
        `lightmine.Corpus` is checked and compressed once for many calls.
    k : int
        Number of neighbours, at most the number of rows.
    both : bool
        Also find the k nearest rows of `x` for each row of `y`.
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
    Neighbors

    Raises
    ------
    ArgumentError, MatrixError, BudgetError

    Examples
    --------
    >>> near = neighbors([[1, 0], [0, 1], [1, 1]], k=1)
    >>> near.index.ravel(), near.score.ravel()
    (array([2, 2, 0]), array([0.70710677, 0.70710677, 0.70710677], dtype=float32))
    """
    k = check_count("k", k, optional=False) or 1
    job = Job(memory_budget=memory_budget, threads=threads, kernel=kernel, progress=progress, resume=resume)
    return _neighbors(x, y, k, both, job)


def _neighbors(x: ArrayLike, y: ArrayLike | Corpus | None, k: int, both: bool, job: Job) -> Neighbors:
    corpus = y if isinstance(y, Corpus) else None
    x, y, budget = prepare(x, y, job)
    n, m = len(x), len(x if y is None else y)
    if y is None:
        if n < 2:
            return _empty(n)
        spec = JoinSpec(n, n, self_join=True, k_left=min(k, n - 1))
        found = SimilarityJoin(x, None, spec, budget=budget, job=job).run()
        left, right = found.pairs[found.by_left], found.pairs[found.by_right]
        return _lists(n, np.r_[left.left, right.right], np.r_[left.right, right.left],
                      np.r_[left.score, right.score])  # fmt: skip
    if not n or not m:
        return Neighbors(*_empty_arrays(n), reverse=_empty(m) if both else None)
    spec = JoinSpec(n, m, self_join=False, k_left=min(k, m), k_right=min(k, n) if both else None)
    found = SimilarityJoin(x, y, spec, budget=budget, job=job, corpus=corpus).run()
    forward, backward = found.pairs[found.by_left], found.pairs[found.by_right]
    return dataclasses.replace(
        _lists(n, forward.left, forward.right, forward.score),
        reverse=_lists(m, backward.right, backward.left, backward.score) if both else None,
    )


def _empty_arrays(n: int) -> tuple[Indices, Scores]:
    return np.empty((n, 0), np.int64), np.empty((n, 0), np.float32)


def _empty(n: int) -> Neighbors:
    return Neighbors(*_empty_arrays(n))


def _lists(n: int, rows: Indices, others: Indices, scores: Scores) -> Neighbors:
    """Neighbors of entries, of which each of n rows has the same number."""
    kernel, _ = native.find_kernel()
    if kernel is None:
        order: Indices = np.lexsort((others, -scores, rows))
    else:
        order = native.order(kernel, rows.astype(np.uint32), descending(scores), others.astype(np.uint32))
    return Neighbors(others[order].astype(np.int64).reshape(n, -1), scores[order].reshape(n, -1))
