"""How a join is run: its options, the matrices it is run on, and the plan that fits the memory budget."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from numpy.typing import ArrayLike

from lightmine._validation import check_count, check_progress
from lightmine.engine.clustering import cluster_bytes
from lightmine.engine.matmul import int8_speedup, safe_int8_qmax
from lightmine.engine.matrix import FloatMatrix, check_matrix, is_unit, same_dimension, unit_rows
from lightmine.engine.quantization import LARGEST_INT8
from lightmine.engine.spec import JoinSpec
from lightmine.engine.tiling import Plan, format_bytes, parse_bytes, plan_tiles
from lightmine.engine.tuning import DEFAULT_TUNING, Tuning
from lightmine.errors import ArgumentError, BudgetError
from lightmine.progress import Progress as Progress
from lightmine.system.threads import default_threads

KernelName = Literal["auto", "int8", "fp32"]
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
    kernel : {"auto", "int8", "fp32"}
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


def prepare(x: ArrayLike, y: ArrayLike | None, job: Job) -> tuple[FloatMatrix, FloatMatrix | None, int]:
    """Unit rows of both sides, and the budget that is left after the copies that were necessary."""
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


def plan_join(spec: JoinSpec, d: int, *, budget: int, job: Job) -> tuple[int | None, Plan]:
    """The largest int8 magnitude (None: float32), and the tiles.

    The plan leaves room for compressed rows if there are enough pairs for them to pay.
    """
    qmax, small = _choose_qmax(spec, d, job)
    if qmax or not small:
        try:
            return qmax, _plan(spec, d, qmax, budget, job, compressed=True)
        except BudgetError:
            if job.kernel == "int8":
                raise
    return None, _plan(spec, d, None, budget, job, compressed=False)


def _choose_qmax(spec: JoinSpec, d: int, job: Job) -> tuple[int | None, bool]:
    """The largest int8 magnitude, and whether the job is too small for compression to pay."""
    tuning = job.tuning
    # A basis takes about 10·d³ steps, and should be a small part of the n·m·d of a product.
    small = spec.n * spec.m < tuning.small_pairs * max(1, (d / 512) ** 2)
    if job.kernel == "fp32":
        return None, small
    qmax = safe_int8_qmax() if tuning.qmax == "measure" else tuning.qmax
    if job.kernel == "int8" and qmax is None:
        raise ArgumentError("this processor's int8 product is wrong; use kernel 'auto' or 'fp32'")
    if d > LARGEST_INT8 or (job.kernel == "auto" and (small or (qmax and not _int8_pays(tuning)))):
        qmax = None
    return qmax, small


def _int8_pays(tuning: Tuning) -> bool:
    speedup = int8_speedup() if tuning.int8_speedup is None else tuning.int8_speedup
    return speedup >= tuning.min_speedup


def _plan(spec: JoinSpec, d: int, qmax: int | None, budget: int, job: Job, *, compressed: bool) -> Plan:
    tuning, fixed = job.tuning, 0
    if compressed:
        rows = spec.n + (0 if spec.self_join else spec.m)
        # The components of compressed rows, their order and its sort; the basis and the centroids.
        fixed = int(rows * ((1 if qmax else 4) * (tuning.max_stages * d + 45) + 16))
        fixed += 40 * d * d + 4 * tuning.basis_rows * d + cluster_bytes(d, tuning)
    return plan_tiles(
        spec.n, spec.m, self_join=spec.self_join, budget=budget, compressed=compressed,
        workers=job.threads or default_threads(), kept=spec.most_kept(), fixed=fixed,
        # Exact scores of a chunk of pairs, a block of compressed rows, and what the runtime packs.
        per_worker=8 * tuning.chunk_bytes + 16 * d * tuning.compress_block + 110 * tuning.survivors_at_once,
        tuning=tuning,
    )  # fmt: skip
