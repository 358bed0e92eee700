"""The exact join: tiles of pairs, proposed by a kernel, scored exactly, selected by a rule."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from lightmine.engine.kernels import Fp32Kernel, Kernel, Scorer
from lightmine.engine.matrix import (
    FloatMatrix,
    check_matrix,
    exact_scores,
    is_unit,
    same_dimension,
    unit_rows,
)
from lightmine.engine.tiles import Plan, format_bytes, parse_bytes, plan_tiles
from lightmine.engine.topk import Candidates, Indices, Listed, Mask, Rule, Scores
from lightmine.errors import ArgumentError, BudgetError
from lightmine.threads import default_threads

Progress = Callable[[int, int], None]

# Rows of the other side that every row is first compared with, to have limits before the tiles start.
SAMPLE = 1024


@dataclasses.dataclass(frozen=True)
class Neighbors:
    """The k nearest rows of each row, nearest first; equal scores: the lower index first.

    Attributes
    ----------
    index : int64 array of shape (n, k)
    score : float32 array of shape (n, k)
    reverse : Neighbors or None
        The other direction, of shape (m, k), where it was asked for.
    """

    index: Indices
    score: Scores
    reverse: Neighbors | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """How to run: none of it changes the answer.

    ``memory_budget`` bounds what is allocated beyond the caller's matrices and the result;
    ``threads`` defaults to the processors that the process may use; ``progress`` is called with the
    number of pairs done and the number in all.
    """

    memory_budget: int | str = "1GiB"
    threads: int | None = None
    progress: Progress | None = None


def neighbors(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    k: int = 10,
    both: bool = False,
    memory_budget: int | str = "1GiB",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Neighbors:
    """The exact k nearest rows of `y` for each row of `x`, by cosine.

    Parameters
    ----------
    x : array of shape (n, d)
        Embeddings; see `lightmine.unit_rows` for what is accepted.
    y : array of shape (m, d), optional
        The other side; without it, `x` against itself, no row being its own neighbour.
    k : int
        How many; capped at the number of rows there are.
    both : bool
        Also find the k nearest rows of `x` for each row of `y`, in the same pass.
    memory_budget : int or str
        Bytes, or "512MiB", "1GiB"...: allocated at most beyond the caller's matrices and the result.
    threads : int, optional
        Workers; by default one for each processor that the process may use.
    progress : callable, optional
        Called with the number of pairs done and the number in all.

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
    check_count("k", k)
    job = Job(memory_budget=memory_budget, threads=threads, progress=progress)
    x, y, budget = prepare(x, y, job)
    n, m = len(x), len(x if y is None else y)
    if y is None:
        rule = Rule(n, n, one_collection=True, k_left=min(k, n - 1) or None)
        if not rule.k_left:
            return _empty(n)
        found = join(x, None, rule, budget=budget, job=job)
        left, right = found.pairs[found.by_left], found.pairs[found.by_right]
        return _lists(n, np.r_[left.left, right.right], np.r_[left.right, right.left],
                      np.r_[left.score, right.score])  # fmt: skip
    if not n or not m:
        return Neighbors(*_empty_arrays(n), reverse=_empty(m) if both else None)
    rule = Rule(n, m, one_collection=False, k_left=min(k, m), k_right=min(k, n) if both else None)
    found = join(x, y, rule, budget=budget, job=job)
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
    """Entries, as many for each of n rows, to lists in order."""
    order = np.lexsort((others, -scores, rows))
    return Neighbors(others[order].astype(np.int64).reshape(n, -1), scores[order].reshape(n, -1))


def prepare(x: ArrayLike, y: ArrayLike | None, job: Job) -> tuple[FloatMatrix, FloatMatrix | None, int]:
    """Unit rows of both sides, and the budget that is left after copies that had to be made."""
    budget = parse_bytes(job.memory_budget)
    sides = [("embeddings" if y is None else "left embeddings", x)]
    if y is not None:
        sides.append(("right embeddings", y))
    ready: list[FloatMatrix] = []
    for name, side in sides:
        matrix = check_matrix(side, name=name)
        if not is_unit(matrix, name=name):
            budget -= matrix.size * 4
            if budget <= 0:
                raise BudgetError(
                    f"{name}: a normalised copy takes {format_bytes(matrix.size * 4)}, more than the "
                    "memory_budget leaves; pass C-contiguous float32 unit rows, which are used as they "
                    "are, or raise it"
                )
            matrix = unit_rows(matrix, name=name)
        ready.append(matrix)
    if y is None:
        return ready[0], None, budget
    same_dimension(*ready)
    return ready[0], ready[1], budget


def check_count(name: str, value: int | None) -> None:
    """Refuse a count that is not a positive whole number."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if value is not None and (not whole or value < 1):
        raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")


def join(x: FloatMatrix, y: FloatMatrix | None, rule: Rule, *, budget: int, job: Job) -> Listed:
    """All pairs that a rule keeps, in the one order, and which of them each side lists.

    `x` and `y` are unit rows (`y` is None for one collection). See `topk.Rule` for the semantics.
    """
    check_count("threads", job.threads)
    right = x if y is None else y
    kernel: Kernel = Fp32Kernel(x, right)
    plan = plan_tiles(
        len(x),
        len(right),
        upper=rule.one_collection,
        budget=budget,
        workers=job.threads or default_threads(),
        kept=rule.most_kept(),
        fixed=kernel.fixed_bytes + SAMPLE * x.shape[1] * 4,
        per_worker=kernel.worker_bytes,
    )
    candidates = Candidates(rule, capacity=plan.candidates)
    _seed(x, right, rule, candidates, plan)
    _run(plan, lambda scorer, tile: _mine(scorer, kernel, tile, x, right, candidates), kernel, job.progress)
    return candidates.answer()


def _mine(
    scorer: Scorer,
    kernel: Kernel,
    tile: tuple[slice, slice],
    x: FloatMatrix,
    y: FloatMatrix,
    candidates: Candidates,
) -> None:
    """Propose, score and offer the pairs of one tile."""
    rows, columns = tile
    flags = _flags(scorer.scores(rows, columns), kernel, rows, columns, candidates)
    left, right = np.divmod(np.flatnonzero(flags), columns.stop - columns.start)
    left += rows.start
    right += columns.start
    if candidates.rule.one_collection and columns.start < rows.stop:
        upper = left < right
        left, right = left[upper], right[upper]
    if len(left):
        candidates.offer(left, right, exact_scores(x, y, left, right))


def _flags(raw: Scores, kernel: Kernel, rows: slice, columns: slice, candidates: Candidates) -> Mask:
    """Which raw scores may belong to the answer: over the floor, and over a limit of either end."""
    limits = candidates.limits
    sides = [side[part] for side, part in ((limits.left, rows), (limits.right, columns)) if side is not None]
    flags = np.empty(raw.shape, bool)
    if not sides or min(side.min() for side in sides) <= limits.floor:
        # The floor alone rejects nearly all; what is left is judged once it is scored.
        return np.greater_equal(raw, kernel.cuts(np.full(1, limits.floor)), out=flags)
    flags[:] = False
    if limits.left is not None:
        flags |= raw >= kernel.cuts(np.maximum(limits.left[rows], limits.floor))[:, None]
    if limits.right is not None:
        flags |= raw >= kernel.cuts(np.maximum(limits.right[columns], limits.floor))
    return flags


def _seed(x: FloatMatrix, y: FloatMatrix, rule: Rule, candidates: Candidates, plan: Plan) -> None:
    """Limits from a sample: a row's k-th best among some partners is no more than among all."""
    ends = [("left", x, y, rule.k_left)]
    if not rule.one_collection:
        ends.append(("right", y, x, rule.k_right))
    for side, rows_of, others, k in ends:
        own = int(rule.one_collection)
        # A sample row finds itself in the sample: its best score then says nothing.
        wanted = (k or 0) + own
        if not k or len(others) <= wanted:
            continue
        step = max(1, len(others) // max(min(SAMPLE, plan.columns), wanted))
        sample = np.ascontiguousarray(others[::step][: max(SAMPLE, wanted)])
        if len(sample) * plan.rows > plan.rows * plan.columns:
            continue
        kernel = Fp32Kernel(rows_of, sample)

        def seed(
            scorer: Scorer,
            tile: tuple[slice, slice],
            kernel: Kernel = kernel,
            wanted: int = wanted,
            side: str = side,
        ) -> None:
            raw = scorer.scores(*tile)
            raw.partition(raw.shape[1] - wanted, axis=1)
            candidates.raise_limits(side, tile[0], kernel.lower(raw[:, -wanted]))

        strip = dataclasses.replace(plan, n=len(rows_of), m=len(sample), upper=False, columns=len(sample))
        _run(strip, seed, kernel, None)


def _run(
    plan: Plan,
    work: Callable[[Scorer, tuple[slice, slice]], None],
    kernel: Kernel,
    progress: Progress | None,
) -> None:
    """Let a pool of workers take the plan's tiles; the first error, or Ctrl-C, stops them all."""
    pool = _Pool(plan, work, kernel)
    total = plan.pairs() if progress else 0
    pool.start()
    try:
        while pool.wait(0.1):
            if progress:
                progress(pool.done, total)
    finally:
        pool.stop()
    if pool.error is not None:
        raise pool.error
    if progress:
        progress(total, total)


class _Pool:
    """Threads that take tiles from one iterator; each has its own scorer."""

    def __init__(
        self, plan: Plan, work: Callable[[Scorer, tuple[slice, slice]], None], kernel: Kernel
    ) -> None:
        self.plan, self.work, self.kernel = plan, work, kernel
        self.done = 0
        self.error: BaseException | None = None
        self._tiles: Iterator[tuple[slice, slice]] = plan.tiles()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._take_tiles, daemon=True) for _ in range(plan.workers)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether work is still going on after at most this time."""
        for thread in self._threads:
            thread.join(seconds / len(self._threads))
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _take_tiles(self) -> None:
        try:
            scorer = self.kernel.scorer(self.plan.rows, self.plan.columns)
            while not self._stop.is_set():
                with self._lock:
                    tile = next(self._tiles, None)
                if tile is None:
                    return
                self.work(scorer, tile)
                with self._lock:
                    self.done += (tile[0].stop - tile[0].start) * (tile[1].stop - tile[1].start)
        except BaseException as error:
            self.error = self.error or error
            self._stop.set()
