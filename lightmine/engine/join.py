"""The exact join: workers reject most pairs of a tile by bounds, score the rest exactly, and select."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from lightmine.engine import pool
from lightmine.engine.checkpoint import Checkpoint, State
from lightmine.engine.components import choose_components
from lightmine.engine.corpus import Corpus
from lightmine.engine.estimate import BoundEstimate, estimate_pairs
from lightmine.engine.job import Job, plan_join
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.quantization import (
    CompressedRows,
    QuantizationParams,
    choose_params,
    compress_rows,
)
from lightmine.engine.selection import Candidates
from lightmine.engine.spec import JoinSpec, SelectedPairs
from lightmine.engine.worker import NativeJoin, NativeWorker, NumpyWorker, SharedState, Tile, Worker
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
    corpus : Corpus, optional
        What `y` is the rows of, compressed for an earlier join.

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
        self, x: FloatMatrix, y: FloatMatrix | None, spec: JoinSpec, *, budget: int, job: Job,
        corpus: Corpus | None = None,
    ) -> None:  # fmt: skip
        self.x, self.y, self.right = x, y, x if y is None else y
        self.requested, self.budget, self.job, self.tuning = spec, budget, job, job.tuning
        self._corpus = corpus
        # One pair more than max_pairs is mined: it tells whether more qualify.
        self.spec = spec
        if spec.max_pairs is not None:
            self.spec = dataclasses.replace(spec, max_pairs=spec.max_pairs + 1)
        self.kernel, self.plan = plan_join(self.spec, x.shape[1], budget=budget, job=job)
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
        return estimate_pairs(self)

    def _estimated(self, estimate: BoundEstimate | None) -> float:
        """The min_score to mine with."""
        min_score = None if estimate is None else estimate.min_score(self.spec.max_pairs or 0)
        return self.spec.min_score if min_score is None else max(min_score, self.spec.min_score)

    def _mine(self, min_score: float, state: State | None) -> SelectedPairs:
        """All pairs from a min_score on; resumes from a state, and saves the state of the job."""
        spec = dataclasses.replace(self.spec, min_score=min_score)
        candidates = Candidates(spec, capacity=self.plan.candidates, tuning=self.tuning, kernel=self.kernel)
        if state is not None:
            candidates.restore(state.parts, state.bounds, state.lowest)
        shared = SharedState(self.x, self.right, candidates, self.plan, self.tuning, state)

        def tick() -> None:
            self._progress.at(shared.done)
            if self._checkpoint is not None and self._checkpoint.due():
                self._checkpoint.save(shared.state())

        try:
            self.work(shared, self.compressed, tick)
        finally:
            # After an interruption, and at the end too: a process that is killed before it could use the
            # answer finds it here.
            if self._checkpoint is not None:
                self._checkpoint.save(shared.state())
        self._progress.at(shared.done)
        return candidates.answer()

    @functools.cached_property
    def params(self) -> QuantizationParams:
        """How both sides are compressed."""
        assert self.kernel is not None
        if self._corpus is not None:
            return self._corpus.compressed(self.kernel).params
        sides = [self.x] if self.y is None else [self.x, self.y]
        count = self.tuning.sample_rows // len(sides)
        sample = np.concatenate([side[:: -(-len(side) // count)] for side in sides])
        # Rotating takes d products for each coordinate, and is to be a small part of the whole.
        n, m, d = len(self.x), len(self.right), self.x.shape[1]
        rotate = n * m > self.tuning.rotation_pairs * d * (n + m)
        with pool.one_blas_thread:
            few = choose_components(sample, self.spec, self.kernel, self.tuning) if rotate else None
            return choose_params(sample, self.kernel.qmax, few, rotate=rotate, tuning=self.tuning)

    @functools.cached_property
    def compressed(self) -> tuple[CompressedRows, CompressedRows] | None:
        """Both sides as the kernel reads them; None where NumPy mines."""
        if self.kernel is None:
            return None
        left = self.compress(self.x)
        if self._corpus is not None:
            return left, self._corpus.compressed(self.kernel)
        return left, left if self.y is None else self.compress(self.y)

    def compress(self, x: FloatMatrix) -> CompressedRows:
        """Rows of this join, or of a sample of it."""
        assert self.kernel is not None
        with pool.one_blas_thread:
            return compress_rows(x, self.params, self.kernel, workers=self.plan.workers, tuning=self.tuning)

    def work(
        self,
        shared: SharedState,
        compressed: tuple[CompressedRows, CompressedRows] | None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Let the workers do the tiles that are left."""
        if self.kernel is None or compressed is None:
            make: Callable[[], Worker] = functools.partial(NumpyWorker, shared)
        else:
            join = NativeJoin(
                self.kernel, shared.x, shared.y, *compressed, shared.candidates,
                best_scores=self.plan.best_scores,
            )  # fmt: skip
            make = functools.partial(NativeWorker, shared, join)
        with pool.one_blas_thread:
            pool.run(shared.tiles(), _mine_tile, make, workers=shared.plan.workers, tick=tick)


def _mine_tile(worker: Worker, tile: Tile) -> None:
    worker.mine(tile)


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
