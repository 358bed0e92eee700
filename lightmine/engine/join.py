"""The exact join: tiles of pairs, proposed by a kernel, scored exactly, selected by a rule."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Literal, get_args

from numpy.typing import ArrayLike

from lightmine._validation import check_count
from lightmine.engine import pool
from lightmine.engine.bounds import Kernel, bound_stage, plain
from lightmine.engine.checkpoint import Checkpoint, State
from lightmine.engine.clustering import cluster_rows, in_bands, order_bytes, warm_start_bounds
from lightmine.engine.estimate import BoundEstimate, estimate_pairs
from lightmine.engine.matmul import MIN_SPEEDUP, int8_speedup, safe_int8_qmax
from lightmine.engine.matrix import (
    CHUNK_BYTES,
    FloatMatrix,
    check_matrix,
    is_unit,
    same_dimension,
    unit_rows,
)
from lightmine.engine.quantization import BASIS_ROWS, CHUNK, LARGEST_INT8, basis, compress_rows
from lightmine.engine.selection import Candidates, JoinSpec, SelectedPairs
from lightmine.engine.stages import MAX_STAGES, choose_stages
from lightmine.engine.tiling import Plan, format_bytes, parse_bytes, plan_tiles
from lightmine.engine.worker import SURVIVORS, SharedState, Worker
from lightmine.errors import ArgumentError, BudgetError
from lightmine.progress import Progress as Progress
from lightmine.progress import check_progress, shown
from lightmine.system.threads import default_threads

KernelName = Literal["auto", "int8", "fp32"]
KERNELS: tuple[KernelName, ...] = get_args(KernelName)

# Under so many pairs a plain product is over before a twin would be made.
SMALL = 1 << 23
# Floors that are guessed before a job is mined without.
ESTIMATES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """How to run: none of it changes the answer.

    ``memory_budget`` bounds what is allocated beyond the caller's matrices and the result; ``threads``
    defaults to the processors that the process may use; ``kernel`` is "auto", "int8" or "fp32";
    ``progress``, unless it is True for a bar on stderr or False for nothing, is called with the number of
    pairs done and the number in all, first with none done;
    the latter only grows, by as much again, should a guessed floor have been too high. ``resume`` names a
    folder that keeps how far the job has come: the same job with the same folder goes on from there.
    """

    memory_budget: int | str = "1GiB"
    threads: int | None = None
    kernel: KernelName = "auto"
    progress: Progress | bool | None = None
    resume: str | None = None

    def __post_init__(self) -> None:
        check_count("threads", self.threads)
        check_progress(self.progress)
        if self.kernel not in KERNELS:
            raise ArgumentError(f"kernel must be one of {', '.join(KERNELS)}, not {self.kernel!r}")


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


def join(x: FloatMatrix, y: FloatMatrix | None, rule: JoinSpec, *, budget: int, job: Job) -> SelectedPairs:
    """All pairs that a rule keeps, in the one order, and which of them each side lists.

    `x` and `y` are unit rows (`y` is None for one collection). See `JoinSpec` for the semantics. One pair more
    than `max_pairs` is mined: it tells whether more qualify.
    """
    asked, most = rule, rule.max_pairs
    if most is not None:
        rule = dataclasses.replace(rule, max_pairs=most + 1)
    qmax, plan = _plan(x, x if y is None else y, rule, budget, job)
    kept = contextlib.nullcontext() if job.resume is None else Checkpoint(job.resume, x, y, asked, plan)
    with kept as checkpoint, shown(job.progress, "mining", " pairs") as tell:
        progress = _Progress(tell, plan.pairs() if tell else 0)
        found = _answer(x, y, rule, qmax, plan, progress, budget, checkpoint)
    if most is None or len(found.pairs) <= most:
        return found
    found = found[:most]
    return dataclasses.replace(found, pairs=dataclasses.replace(found.pairs, limited_by=("max_pairs",)))


def _answer(
    x: FloatMatrix,
    y: FloatMatrix | None,
    rule: JoinSpec,
    qmax: int | None,
    plan: Plan,
    progress: _Progress,
    budget: int,
    checkpoint: Checkpoint | None,
) -> SelectedPairs:
    """Mine with a guessed floor, with a better guess should that fail, and in the end with none."""
    state = None if checkpoint is None else checkpoint.load()
    estimate = None if state else estimate_pairs(x, rule, budget=budget, workers=plan.workers)
    min_score = state.min_score if state else _estimated(estimate, rule)
    for left in reversed(range(ESTIMATES + 1)):
        found = _mine(
            x, y, dataclasses.replace(rule, min_score=min_score), qmax, plan, progress, checkpoint, state
        )
        # Lists are best first, so a floor only shortens them: max_pairs listed pairs over it are the best
        # max_pairs of all. Fewer, and the guess was too high for this data.
        if min_score == rule.min_score or len(found.pairs) == rule.max_pairs:
            break
        estimate = estimate or estimate_pairs(x, rule, budget=budget, workers=plan.workers)
        estimate = estimate and estimate.corrected(min_score, len(found.pairs))
        state, min_score = None, _estimated(estimate, rule) if left > 1 else rule.min_score
        progress.again()
    return found


def _estimated(estimate: BoundEstimate | None, rule: JoinSpec) -> float:
    min_score = None if estimate is None else estimate.min_score(rule.max_pairs or 0)
    return rule.min_score if min_score is None else max(min_score, rule.min_score)


def _mine(
    x: FloatMatrix,
    y: FloatMatrix | None,
    rule: JoinSpec,
    qmax: int | None,
    plan: Plan,
    progress: _Progress,
    checkpoint: Checkpoint | None,
    state: State | None,
) -> SelectedPairs:
    """All pairs of a rule; goes on from a state, and keeps how far it has come."""
    candidates = Candidates(rule, capacity=plan.candidates)
    if state is not None:
        candidates.restore(state.parts, state.limits, state.lowest)
    with pool.one_blas_thread:
        kernel = _kernel(x, y, rule, candidates, qmax, plan, state)
    shared = SharedState(x, x if y is None else y, kernel, candidates, plan, state)

    def tick() -> None:
        progress.at(shared.done)
        if checkpoint is not None and checkpoint.due():
            checkpoint.save(shared.state())

    try:
        pool.run(shared.tiles(), lambda worker, tile: worker.mine(tile), lambda: Worker(shared),
                 workers=plan.workers, tick=tick)  # fmt: skip
    finally:
        # When it is interrupted, and at the end too: whoever is killed before the answer is safe has it here.
        if checkpoint is not None:
            checkpoint.save(shared.state())
    progress.at(shared.done)
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


def _plan(x: FloatMatrix, y: FloatMatrix, rule: JoinSpec, budget: int, job: Job) -> tuple[int | None, Plan]:
    """Levels for int8 (None: float32), and tiles that leave room for twins where twins are worth making."""
    qmax = safe_int8_qmax() if job.kernel != "fp32" else None
    if job.kernel == "int8" and qmax is None:
        raise ArgumentError("this processor's int8 product is wrong; use kernel 'auto' or 'fp32'")
    d = x.shape[1]
    # A basis takes some 10·d³ steps, and is to be a small part of the n·m·d of a product.
    small = rule.n * rule.m < SMALL * max(1, (d / 512) ** 2)
    if d > LARGEST_INT8 or (job.kernel == "auto" and (small or (qmax and int8_speedup() < MIN_SPEEDUP))):
        qmax = None
    rows = len(x) + (0 if rule.self_join else len(y))
    # Twins' coordinates, order and its sorting; the basis and the pivots.
    fixed = int(rows * ((1 if qmax else 4) * (MAX_STAGES * d + 45) + 16))
    fixed += 40 * d * d + 4 * BASIS_ROWS * d + order_bytes(d)

    def plan(compressed: bool) -> Plan:
        return plan_tiles(
            rule.n, rule.m, self_join=rule.self_join, budget=budget, compressed=compressed,
            workers=job.threads or default_threads(), kept=rule.most_kept(), fixed=fixed if compressed else 0,
            # Scoring a chunk of pairs, making a block of a twin, and what the runtime packs.
            per_worker=8 * CHUNK_BYTES + 16 * d * CHUNK + 110 * SURVIVORS,
        )  # fmt: skip

    if qmax or not small:
        try:
            return qmax, plan(True)
        except BudgetError:
            if job.kernel == "int8":
                raise
    return None, plan(False)


def _kernel(
    x: FloatMatrix,
    y: FloatMatrix | None,
    rule: JoinSpec,
    candidates: Candidates,
    qmax: int | None,
    plan: Plan,
    state: State | None,
) -> Kernel:
    if not plan.compressed or (state is not None and state.orders is None):
        return Kernel([plain(x, y)], plan.columns)
    right = x if y is None else y
    limits = candidates.limits
    if state is not None and state.orders is not None:
        # Tiles that are done are tiles of that order.
        places = state.orders
    else:
        orders = cluster_rows(x, y, workers=plan.workers)
        # Raise the rows' own limits first, by rows that are likely to be near.
        warm_start_bounds(x, right, rule, candidates, orders, plan.workers)
        places = (
            in_bands(orders[0], limits.left, limits.min_score),
            in_bands(orders[1], limits.right, limits.min_score),
        )
    vectors = basis(x, y)
    stage_components, choice = choose_stages(x, right, limits, places, vectors, qmax, plan)
    if qmax is None and stage_components == [x.shape[1]] and state is None:
        return Kernel([plain(x, y)], plan.columns)
    stages = [
        bound_stage(
            *compress_rows(
                x, y, vectors[:n_components], qmax, places, columns=plan.columns, workers=plan.workers
            )
        )
        for n_components in stage_components
    ]
    return Kernel(stages, plan.columns, choice.of)
