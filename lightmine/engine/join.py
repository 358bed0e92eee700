"""The exact join: workers bound the scores of tiles of pairs, score the survivors exactly, and select."""

from __future__ import annotations

import contextlib
import dataclasses

from lightmine.engine import pool
from lightmine.engine.basis import basis
from lightmine.engine.bounds import Kernel, bound_stage, plain
from lightmine.engine.checkpoint import Checkpoint, State
from lightmine.engine.clustering import cluster_rows, in_groups, warm_start_bounds
from lightmine.engine.estimate import BoundEstimate, estimate_pairs
from lightmine.engine.job import Job, plan_join
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.quantization import (
    CompressedRows,
    QuantizationParams,
    RowOrder,
    compress_rows,
)
from lightmine.engine.selection import Candidates, ScoreBounds
from lightmine.engine.spec import JoinSpec, SelectedPairs
from lightmine.engine.stages import Choice, choose_stages
from lightmine.engine.worker import SharedState, Worker
from lightmine.progress import Progress, open_progress


class SimilarityJoin:
    """All pairs that a `JoinSpec` keeps, in the canonical order, and which of them each side lists.

    Parameters
    ----------
    x, y : float32 arrays of shape (n, d) and (m, d), unit rows
        `y` is None for one collection.
    spec : JoinSpec
    budget : int
        Bytes that may be allocated beyond the matrices and the result.
    job : Job

    Raises
    ------
    ArgumentError, BudgetError

    Examples
    --------
    >>> from lightmine.engine.matrix import unit_rows
    >>> x, spec = unit_rows([[1, 0], [0, 1], [3, 4]]), JoinSpec(3, 3, self_join=True, min_score=0.7)
    >>> list(SimilarityJoin(x, None, spec, budget=1 << 28, job=Job()).run().pairs)
    [(0.800000011920929, 1, 2)]
    """

    def __init__(
        self, x: FloatMatrix, y: FloatMatrix | None, spec: JoinSpec, *, budget: int, job: Job
    ) -> None:
        self.x, self.y, self.right = x, y, x if y is None else y
        self.requested, self.budget, self.job, self.tuning = spec, budget, job, job.tuning
        # One pair more than max_pairs is mined: it tells whether more qualify.
        self.spec = spec
        if spec.max_pairs is not None:
            self.spec = dataclasses.replace(spec, max_pairs=spec.max_pairs + 1)
        self.qmax, self.plan = plan_join(self.spec, x.shape[1], budget=budget, job=job)
        self._checkpoint: Checkpoint | None = None
        self._progress = _Progress(None, 0)

    def run(self) -> SelectedPairs:
        """Mine, or resume from the job's checkpoint."""
        job, max_pairs = self.job, self.requested.max_pairs
        saved = (
            contextlib.nullcontext()
            if job.resume is None
            else Checkpoint(job.resume, self.x, self.y, self.requested, self.plan, self.tuning)
        )
        with saved as self._checkpoint, open_progress(job.progress, "mining", " pairs") as tell:
            self._progress = _Progress(tell, self.plan.pairs() if tell else 0)
            found = self._answer()
        if max_pairs is None or len(found.pairs) <= max_pairs:
            return found
        found = found[:max_pairs]
        return dataclasses.replace(found, pairs=dataclasses.replace(found.pairs, limited_by=("max_pairs",)))

    def _answer(self) -> SelectedPairs:
        """Mine with an estimated min_score, with a better estimate if that fails, and at last with none."""
        spec = self.spec
        state = None if self._checkpoint is None else self._checkpoint.load()
        estimate = None if state else self._estimate()
        min_score = state.min_score if state else self._estimated(estimate)
        for attempts in reversed(range(self.tuning.estimates + 1)):
            found = self._mine(min_score, state)
            # Lists are best first, so a higher min_score only shortens them: if max_pairs listed pairs reach
            # it, they are the best max_pairs of all. If fewer do, the estimate was too high for this data.
            if min_score == spec.min_score or len(found.pairs) == spec.max_pairs:
                break
            estimate = estimate or self._estimate()
            estimate = estimate and estimate.corrected(min_score, len(found.pairs))
            state, min_score = None, self._estimated(estimate) if attempts > 1 else spec.min_score
            self._progress.again()
        return found

    def _estimate(self) -> BoundEstimate | None:
        return estimate_pairs(
            self.x, self.spec, budget=self.budget, workers=self.plan.workers, tuning=self.tuning
        )

    def _estimated(self, estimate: BoundEstimate | None) -> float:
        """The min_score to mine with."""
        min_score = None if estimate is None else estimate.min_score(self.spec.max_pairs or 0)
        return self.spec.min_score if min_score is None else max(min_score, self.spec.min_score)

    def _mine(self, min_score: float, state: State | None) -> SelectedPairs:
        """All pairs from a min_score on; resumes from a state, and saves the state of the job."""
        spec = dataclasses.replace(self.spec, min_score=min_score)
        candidates = Candidates(spec, capacity=self.plan.candidates, tuning=self.tuning)
        if state is not None:
            candidates.restore(state.parts, state.limits, state.lowest)
        with pool.one_blas_thread:
            kernel = self._kernel(candidates, state)
        shared = SharedState(self.x, self.right, kernel, candidates, self.plan, state)

        def tick() -> None:
            self._progress.at(shared.done)
            if self._checkpoint is not None and self._checkpoint.due():
                self._checkpoint.save(shared.state())

        try:
            pool.run(shared.tiles(), lambda worker, tile: worker.mine(tile), lambda: Worker(shared),
                     workers=self.plan.workers, tick=tick)  # fmt: skip
        finally:
            # After an interruption, and at the end too: a process that is killed before it could use the
            # answer finds it here.
            if self._checkpoint is not None:
                self._checkpoint.save(shared.state())
        self._progress.at(shared.done)
        return candidates.answer()

    def _kernel(self, candidates: Candidates, state: State | None) -> Kernel:
        """Compressed rows, and the stage of each tile; or the matrices themselves."""
        if not self.plan.compressed or (state is not None and state.row_orders is None):
            return self._plain_kernel()
        row_orders = None if state is None else state.row_orders
        if row_orders is None:
            row_orders = self._order_rows(candidates)
        vectors = basis(self.x, self.y, self.tuning.basis_rows)
        stage_components, choice = self._choose_stages(candidates.limits, row_orders, vectors)
        if self.qmax is None and stage_components == [self.x.shape[1]] and state is None:
            return self._plain_kernel()
        stages = [
            bound_stage(*self._compress(vectors[:n_components], row_orders))
            for n_components in stage_components
        ]
        return Kernel(stages, self.plan.columns, choice.of, self.plan.band)

    def _plain_kernel(self) -> Kernel:
        return Kernel([plain(self.x, self.y)], self.plan.columns, band=self.plan.band)

    def _order_rows(self, candidates: Candidates) -> tuple[RowOrder, RowOrder]:
        """Cluster the rows, raise their bounds by likely neighbors, and group them by those bounds."""
        limits = candidates.limits
        clusters = cluster_rows(self.x, self.y, workers=self.plan.workers, tuning=self.tuning)
        warm_start_bounds(self.x, self.right, candidates, clusters, self.plan.workers, self.tuning)
        left, right = (
            in_groups(cluster, own, limits.min_score, self.tuning.bound_groups)
            for cluster, own in zip(clusters, (limits.left, limits.right), strict=True)
        )
        return left, right

    def _choose_stages(
        self, limits: ScoreBounds, row_orders: tuple[RowOrder, RowOrder], vectors: FloatMatrix
    ) -> tuple[list[int], Choice]:
        return choose_stages(
            self.x, self.right, limits, row_orders, vectors, self.qmax, self.plan, self.tuning
        )

    def _compress(
        self, vectors: FloatMatrix, row_orders: tuple[RowOrder, RowOrder]
    ) -> tuple[CompressedRows, CompressedRows, QuantizationParams]:
        return compress_rows(
            self.x, self.y, vectors, self.qmax, row_orders, columns=self.plan.columns,
            workers=self.plan.workers, tuning=self.tuning,
        )  # fmt: skip


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
        """Another round over all pairs begins."""
        self._before += self._pairs
