"""The exact join: tiles of pairs, proposed by a kernel, scored exactly, selected by a rule."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from lightmine.engine import pool
from lightmine.engine.kernels import Kernel, Rung, plain, rung
from lightmine.engine.ladder import LADDER, choose_rungs
from lightmine.engine.matrix import (
    CHUNK_BYTES,
    FloatMatrix,
    PairScorer,
    check_matrix,
    is_unit,
    same_dimension,
    unit_rows,
)
from lightmine.engine.orders import banded, order_bytes, seed_limits, similar_order
from lightmine.engine.products import LEAST_GAIN, Raw, int8_gain, proven_levels
from lightmine.engine.sampling import guess_pairs
from lightmine.engine.tiles import Plan, format_bytes, parse_bytes, plan_tiles
from lightmine.engine.topk import Candidates, Listed, Mask, Rule
from lightmine.engine.twins import BASIS_ROWS, CHUNK, LARGEST_INT8, Places, basis, make_twins
from lightmine.errors import ArgumentError, BudgetError
from lightmine.threads import default_threads

Progress = Callable[[int, int], None]

KERNELS = ("auto", "int8", "fp32")

# Under so many pairs a plain product is over before a twin would be made.
SMALL = 1 << 23
# The share of a tile's pairs under which judging them one by one is sooner than comparing all of them with
# limits of their own (a hit costs about 100 times a comparison).
FEW = 1 / 100
# The share over which a deeper rung is sooner than the survivors of this one.
MANY = 1 / 150
# Floors that are guessed before a job is mined without.
GUESSES = 2
# Survivors of a tile that are looked at together.
SURVIVORS = 1 << 13


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """How to run: none of it changes the answer.

    ``memory_budget`` bounds what is allocated beyond the caller's matrices and the result; ``threads``
    defaults to the processors that the process may use; ``kernel`` is "auto", "int8" or "fp32";
    ``progress`` is called with the number of pairs done and the number in all, first with none done;
    the latter only grows, by as much again, should a guessed floor have been too high.
    """

    memory_budget: int | str = "1GiB"
    threads: int | None = None
    kernel: str = "auto"
    progress: Progress | None = None

    def __post_init__(self) -> None:
        check_count("threads", self.threads)
        if self.kernel not in KERNELS:
            raise ArgumentError(f"kernel must be one of {', '.join(KERNELS)}, not {self.kernel!r}")


def check_count(name: str, value: int | None, *, optional: bool = True) -> int | None:
    """A count as a Python int; refuses what is not a positive whole number."""
    if value is None and optional:
        return None
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")
    return int(value)


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


def join(x: FloatMatrix, y: FloatMatrix | None, rule: Rule, *, budget: int, job: Job) -> Listed:
    """All pairs that a rule keeps, in the one order, and which of them each side lists.

    `x` and `y` are unit rows (`y` is None for one collection). See `topk.Rule` for the semantics.
    """
    levels, plan = _plan(x, x if y is None else y, rule, budget, job)
    progress = _Progress(job.progress, plan.pairs() if job.progress else 0)
    guess = guess_pairs(x, rule, budget=budget, workers=plan.workers)
    for _ in range(GUESSES):
        floor = None if guess is None else guess.floor(rule.max_pairs or 0)
        if guess is None or floor is None or floor <= rule.floor:
            break
        found = _mine(x, y, dataclasses.replace(rule, floor=floor), levels, plan, progress)
        # Lists are best first, so a floor only shortens them: max_pairs listed pairs over it are the best
        # max_pairs of all. Fewer, and the guess was too high for this data: mine again with a better one.
        if len(found.pairs) == rule.max_pairs:
            return found
        guess = guess.corrected(floor, len(found.pairs))
        progress.again()
    return _mine(x, y, rule, levels, plan, progress)


def _mine(
    x: FloatMatrix, y: FloatMatrix | None, rule: Rule, levels: int | None, plan: Plan, progress: _Progress
) -> Listed:
    right = x if y is None else y
    candidates = Candidates(rule, capacity=plan.candidates)
    with pool.one_blas_thread:
        kernel = _kernel(x, y, rule, candidates, levels, plan)
    work = _Work(x, right, kernel, candidates, plan)
    pool.run(
        kernel.hardest_first(plan.tiles),
        lambda miner, tile: miner.mine(tile),
        lambda: _Miner(work),
        workers=plan.workers,
        tick=lambda: progress.at(work.done),
    )
    progress.at(work.done)
    return candidates.answer()


class _Progress:
    """Tells the caller how many pairs are done of how many; neither number ever falls."""

    def __init__(self, tell: Progress | None, pairs: int) -> None:
        self._tell, self._pairs, self._before = tell, pairs, 0
        self.at(0)

    def at(self, done: int) -> None:
        """So many pairs of this round are done."""
        if self._tell is not None:
            self._tell(self._before + done, self._before + self._pairs)

    def again(self) -> None:
        """All pairs have to be gone through once more."""
        self._before += self._pairs


def _plan(x: FloatMatrix, y: FloatMatrix, rule: Rule, budget: int, job: Job) -> tuple[int | None, Plan]:
    """Levels for int8 (None: float32), and tiles that leave room for twins where twins are worth making."""
    levels = proven_levels() if job.kernel != "fp32" else None
    if job.kernel == "int8" and levels is None:
        raise ArgumentError("this processor's int8 product is wrong; use kernel 'auto' or 'fp32'")
    d = x.shape[1]
    # A basis takes some 10·d³ steps, and is to be a small part of the n·m·d of a product.
    small = rule.n * rule.m < SMALL * max(1, (d / 512) ** 2)
    if d > LARGEST_INT8 or (job.kernel == "auto" and (small or (levels and int8_gain() < LEAST_GAIN))):
        levels = None
    rows = len(x) + (0 if rule.one_collection else len(y))
    # Twins' coordinates, order and its sorting; the basis and the pivots.
    fixed = int(rows * ((1 if levels else 4) * (LADDER * d + 45) + 16))
    fixed += 40 * d * d + 4 * BASIS_ROWS * d + order_bytes(d)

    def plan(twins: bool) -> Plan:
        return plan_tiles(
            rule.n, rule.m, upper=rule.one_collection, budget=budget, twins=twins,
            workers=job.threads or default_threads(), kept=rule.most_kept(), fixed=fixed if twins else 0,
            # Scoring a chunk of pairs, making a block of a twin, and what the runtime packs.
            per_worker=8 * CHUNK_BYTES + 16 * d * CHUNK + 110 * SURVIVORS,
        )  # fmt: skip

    if levels or not small:
        try:
            return levels, plan(True)
        except BudgetError:
            if job.kernel == "int8":
                raise
    return None, plan(False)


def _kernel(
    x: FloatMatrix, y: FloatMatrix | None, rule: Rule, candidates: Candidates, levels: int | None, plan: Plan
) -> Kernel:
    if not plan.twins:
        return Kernel([plain(x, y)], plan.columns)
    right = x if y is None else y
    limits = candidates.limits
    orders = similar_order(x, y, workers=plan.workers)
    # Raise the rows' own limits first, by rows that are likely to be near.
    seed_limits(x, right, rule, candidates, orders, plan.workers)
    places = banded(orders[0], limits.left, limits.floor), banded(orders[1], limits.right, limits.floor)
    vectors = basis(x, y)
    depths, choice = choose_rungs(x, right, limits, places, vectors, levels, plan)
    if levels is None and depths == [x.shape[1]]:
        return Kernel([plain(x, y)], plan.columns)
    rungs = [
        rung(*make_twins(x, y, vectors[:depth], levels, places, columns=plan.columns, workers=plan.workers))
        for depth in depths
    ]
    return Kernel(rungs, plan.columns, choice.of)


class _Work:
    """What all workers share."""

    def __init__(
        self, x: FloatMatrix, y: FloatMatrix, kernel: Kernel, candidates: Candidates, plan: Plan
    ) -> None:
        self.x, self.y, self.kernel, self.candidates, self.plan = x, y, kernel, candidates, plan
        self.done = 0
        self.lock = threading.Lock()


class _Miner:
    """One worker: proposes, scores and offers the pairs of tiles."""

    def __init__(self, work: _Work) -> None:
        self.work, self.kernel, self.limits = work, work.kernel, work.candidates.limits
        size = work.plan.size
        self.scorer = work.kernel.scorer(size)
        self.pairs = PairScorer(work.x, work.y)
        self.flags, self.other = np.empty(size, bool), np.empty(size, bool)

    def mine(self, tile: tuple[slice, slice]) -> None:
        """Do one tile."""
        rows, columns = tile
        first = self.kernel.number(rows, columns)
        for number in range(first, len(self.kernel.rungs)):
            rung = self.kernel.rungs[number]
            raw = self.scorer.scores(number, rows, columns)
            hits = np.flatnonzero(self._flags(rung, raw, rows, columns))
            if len(hits) <= raw.size * MANY:
                break
        for start in range(0, len(hits), SURVIVORS):
            self._offer(rung, raw, hits[start : start + SURVIVORS], rows, columns)
        with self.work.lock:
            self.work.done += raw.size

    def _flags(self, rung: Rung, raw: Raw, rows: slice, columns: slice) -> Mask:
        """Which raw scores may belong to the answer: over the floor, and over a limit of either end."""
        kernel, limits = self.kernel, self.limits
        flags = self.flags[: raw.size].reshape(raw.shape)
        left = None if limits.left is None else limits.left[kernel.left_rows(rows)]
        right = None if limits.right is None else limits.right[kernel.right_rows(columns)]
        # Compared with the lowest limit of all first: most tiles then have hardly a hit, and those are
        # judged pair by pair.
        lowest = min((side.min() for side in (left, right) if side is not None), default=limits.floor)
        np.greater_equal(raw, rung.cut(max(lowest, limits.floor)), out=flags)
        if lowest <= limits.floor or np.count_nonzero(flags) < flags.size * FEW:
            return flags
        if left is not None:
            np.greater_equal(raw, rung.cut(np.maximum(left, limits.floor))[:, None], out=flags)
        if right is not None:
            other = flags if left is None else self.other[: raw.size].reshape(raw.shape)
            np.greater_equal(raw, rung.cut(np.maximum(right, limits.floor)), out=other)
            flags |= other
        return flags

    def _offer(self, rung: Rung, raw: Raw, hits: Places, rows: slice, columns: slice) -> None:
        """Judge single pairs by ever tighter bounds; score and offer those that are left."""
        work = self.work
        left, right = np.divmod(hits, columns.stop - columns.start)
        left += rows.start
        right += columns.start
        if work.plan.upper and columns.start < rows.stop:
            upper = left < right
            left, right, hits = left[upper], right[upper], hits[upper]
        bounds = rung.upper(raw.ravel()[hits])
        left, right = self.kernel.left_rows(left), self.kernel.right_rows(right)
        admitted = self.limits.admit(left, right, bounds)
        left, right = left[admitted], right[admitted]
        if work.plan.upper:
            # The twin's order is not the matrix's.
            left, right = np.minimum(left, right), np.maximum(left, right)
        if work.plan.twins:
            scores = self.pairs.rough(left, right)
            admitted = self.limits.admit(left, right, scores + np.float32(self.pairs.slack))
            left, right = left[admitted], right[admitted]
        if len(left):
            work.candidates.offer(left, right, self.pairs.exact(left, right))
