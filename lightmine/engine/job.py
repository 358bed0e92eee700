"""How a join is run: its options, the matrices it is run on, and the plan that fits the memory budget."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, get_args

from numpy.typing import ArrayLike

from lightmine._validation import check_count, check_progress
from lightmine.engine import native
from lightmine.engine.corpus import Corpus
from lightmine.engine.matrix import FloatMatrix, check_matrix, is_unit, same_dimension, unit_rows
from lightmine.engine.quantization import compressed_bytes
from lightmine.engine.spec import JoinSpec
from lightmine.engine.tiling import Plan, format_bytes, parse_bytes, plan_tiles
from lightmine.engine.tuning import DEFAULT_TUNING, Tuning
from lightmine.errors import ArgumentError, BudgetError
from lightmine.progress import Progress as Progress
from lightmine.system.threads import default_threads

KernelName = Literal["auto", "native", "numpy"]
KERNELS: tuple[KernelName, ...] = get_args(KernelName)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """How to run a join. Nothing here changes the answer.

    Attributes
    ----------
    memory_budget : int or str
        The most that is allocated beyond the caller's matrices and the result.
    threads : int, optional
        Workers; by default one for each processor that the process may use.
    kernel : {"auto", "native", "numpy"}
    progress : callable or bool, optional
        Called with the number of pairs done and the number in all, first with none done; True shows a bar
        on stderr, False nothing. The number in all only grows: by as much again for each estimate of
        min_score that was too high.
    resume : str, optional
        A folder for checkpoints. The same job with the same folder resumes from the last one.
    tuning : Tuning
        Sizes and times that the engine works with.
    """

    memory_budget: int | str = "1GiB"
    threads: int | None = None
    kernel: KernelName = "auto"
    progress: Progress | bool | None = None
    resume: str | None = None
    tuning: Tuning = DEFAULT_TUNING

    def __post_init__(self) -> None:
        check_count("threads", self.threads)
        check_progress(self.progress)
        if self.kernel not in KERNELS:
            raise ArgumentError(f"kernel must be one of {', '.join(KERNELS)}, not {self.kernel!r}")


def prepare(
    x: ArrayLike, y: ArrayLike | Corpus | None, job: Job
) -> tuple[FloatMatrix, FloatMatrix | None, int]:
    """Unit rows of both sides, and the budget that is left after the copies that were necessary."""
    budget = parse_bytes(job.memory_budget)
    sides: list[tuple[str, ArrayLike | Corpus]] = [("embeddings" if y is None else "left embeddings", x)]
    if y is not None:
        sides.append(("right embeddings", y))
    ready: list[FloatMatrix] = []
    for name, side in sides:
        if isinstance(side, Corpus):
            ready.append(side.rows)
            continue
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


def plan_join(spec: JoinSpec, d: int, *, budget: int, job: Job) -> tuple[native.Kernel | None, Plan]:
    """The kernel that mines (None: NumPy), and the tiles."""
    kernel = choose_kernel(spec, job)
    if kernel is not None:
        for best_scores in (True, False):
            try:
                return kernel, _plan(spec, d, budget, job, kernel, best_scores=best_scores)
            except BudgetError:
                if not best_scores and job.kernel == "native":
                    raise
    return None, _plan(spec, d, budget, job, None)


def choose_kernel(spec: JoinSpec, job: Job) -> native.Kernel | None:
    """The compiled kernel, unless there is none, NumPy was asked for, or the job is over sooner without."""
    if job.kernel == "numpy":
        return None
    kernel, reason = native.find_kernel()
    if job.tuning.variant is not None and kernel is not None:
        kernel = native.Kernel(kernel.library, job.tuning.variant)
    if job.kernel == "native":
        if kernel is None:
            raise ArgumentError(f"kernel 'native' cannot be used: {reason}; use 'auto' or 'numpy'")
        return kernel
    # A product of a few rows is over before the others would be compressed.
    small = spec.n * spec.m < job.tuning.small_pairs or min(spec.n, spec.m) < job.tuning.small_side
    return None if small else kernel


def _plan(
    spec: JoinSpec, d: int, budget: int, job: Job, kernel: native.Kernel | None, *, best_scores: bool = False
) -> Plan:
    tuning, fixed, rows = job.tuning, 0, None
    # Less than a tile: asking how many threads may run takes longer than the job.
    tiny = spec.n * spec.m <= math.prod(tuning.numpy_tile)
    workers = job.threads or (1 if tiny else default_threads())
    per_worker = 8 * tuning.chunk_bytes + 110 * tuning.survivors_at_once
    if kernel is not None:
        width = -(-d // native.WIDTH) * native.WIDTH
        fixed = compressed_bytes(spec.n, width) + (0 if spec.self_join else compressed_bytes(spec.m, width))
        fixed += 8 * (spec.n + spec.m) + 12 * d * d + 16 * d * tuning.sample_rows
        found = tuning.found_capacity + int(kernel.library.lightmine_tile_pairs())
        size = best_scores_bytes(spec) if best_scores else 0
        best_scores = 0 < size <= tuning.best_scores_share * budget
        fixed += size if best_scores else 0
        rows = _tile_rows(spec, workers, tuning)
        per_worker = int(kernel.library.lightmine_scratch(rows, width)) + 24 * found
        per_worker += 8 * d * tuning.compressed_at_once
    plan = plan_tiles(
        spec.n, spec.m, self_join=spec.self_join, budget=budget, native=kernel is not None,
        workers=workers, kept=spec.most_kept(), fixed=fixed, per_worker=per_worker, rows=rows, tuning=tuning,
    )  # fmt: skip
    return dataclasses.replace(plan, best_scores=best_scores)


def _tile_rows(spec: JoinSpec, workers: int, tuning: Tuning) -> int:
    """More rows use the other side's rows more often while these are in a cache; bounds of rows rise later.

    So few rows where bounds of rows decide, and else many, as long as every worker has some tiles.
    """
    rows, most = tuning.native_tile[0], tuning.native_rows_most
    if spec.max_pairs is None and (spec.k_left or spec.k_right):
        return rows
    return max(rows, min(most, spec.n // (16 * workers) // native.BLOCK * native.BLOCK))


def best_scores_bytes(spec: JoinSpec) -> int:
    """What the kernel needs to keep the best scores of each row that lists any."""
    size = 4 * spec.n * (spec.k_left + 1) if spec.k_left else 0
    return size + (4 * spec.m * (spec.k_right + 1) if spec.k_right and not spec.self_join else 0)
