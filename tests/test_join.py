"""Whatever makes the engine faster changes no byte of the answer."""

import contextlib
import dataclasses
import threading

import numpy as np
import pytest

import lightmine
from lightmine import unit_rows
from lightmine.engine import estimate as estimation
from lightmine.engine import matmul, pool
from lightmine.engine.basis import basis
from lightmine.engine.bounds import Int8Scorer
from lightmine.engine.clustering import cluster_rows
from lightmine.engine.job import Job
from lightmine.engine.join import SimilarityJoin
from lightmine.engine.selection import Candidates
from lightmine.engine.spec import JoinSpec
from lightmine.engine.stages import Choice, choose_stages
from lightmine.engine.tiling import plan_tiles
from lightmine.engine.tuning import Tuning
from lightmine.errors import ArgumentError
from lightmine.paraphrase import _mine
from lightmine.search import _neighbors
from tests.oracle import dense, nearest, paraphrases

# Small inputs take the paths of large ones: compressed rows, estimates, many tiles.
SMALL = Tuning(
    small_pairs=1, tile_rows=32, tile_columns=64, survivors_at_once=50, estimate_rows=40,
    warm_start_columns=24, centroids=8,
)  # fmt: skip


def mine_paraphrases(x, *, tuning=SMALL, top_k=100, max_pairs=500_000, threshold=None, max_score=None, **job):
    limits = dict(top_k=top_k, max_pairs=max_pairs, threshold=threshold, max_score=max_score)
    return _mine(x, **limits, job=Job(tuning=tuning, **job))


def neighbors(x, y=None, *, k, both=False, **job):
    return _neighbors(x, y, k, both, Job(tuning=SMALL, **job))


def clustered(seed, n, d, spread=0.5):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, n // 9), d))
    x = centres[rng.integers(0, len(centres), n)] + spread * rng.standard_normal((n, d))
    x[rng.integers(0, n, n // 10)] = x[rng.integers(0, n, n // 10)]
    return unit_rows(x)


@pytest.mark.parametrize("kernel", ["auto", "int8", "fp32"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options",
    [
        dict(top_k=100, max_pairs=60), dict(top_k=3, max_pairs=100),
        dict(top_k=None, max_pairs=None, threshold=0.6),
        dict(top_k=5, max_pairs=None), dict(top_k=1, max_pairs=1), dict(top_k=2, max_pairs=50, threshold=0.9),
        dict(top_k=3, max_pairs=80, max_score=0.8), dict(top_k=None, max_pairs=100, max_score=0.9),
    ],
)  # fmt: skip
def test_every_kernel_finds_the_pairs_of_brute_force(kernel, seed, options):
    x = clustered(seed, 260, 24)
    assert list(mine_paraphrases(x, kernel=kernel, threads=2, **options)) == paraphrases(x, **options)


@pytest.mark.parametrize("kernel", ["auto", "int8", "fp32"])
@pytest.mark.parametrize("k", [1, 4, 30])
@pytest.mark.parametrize("seed", range(2))
def test_every_kernel_finds_the_neighbours_of_brute_force(kernel, k, seed):
    x, y = clustered(seed, 170, 24), clustered(seed + 50, 230, 24)
    near = neighbors(x, y, k=k, both=True, kernel=kernel)
    scores = dense(x, y)
    assert near.index.tolist() == nearest(scores, k)
    assert near.reverse.index.tolist() == nearest(scores.T, k)
    assert neighbors(x, k=k, kernel=kernel).index.tolist() == nearest(dense(x), k, self_join=True)


@pytest.mark.parametrize(("n", "m"), [(300, 10), (300, 63), (10, 300), (65, 64), (129, 31)])
def test_sides_of_any_shape(n, m):
    x, y = clustered(1, n, 16), clustered(2, m, 16)
    near = neighbors(x, y, k=3, both=True, kernel="int8")
    scores = dense(x, y)
    assert near.index.tolist() == nearest(scores, 3)
    assert near.reverse.index.tolist() == nearest(scores.T, 3)
    spec, job = JoinSpec(n, m, self_join=False, min_score=0.3), Job(kernel="int8", tuning=SMALL)
    found = SimilarityJoin(x, y, spec, budget=1 << 28, job=job).run().pairs
    expected = [tuple(pair) for pair in np.argwhere(scores >= np.float32(0.3)).tolist()]
    assert sorted(zip(found.left.tolist(), found.right.tolist(), strict=True)) == expected


class FixedEstimate:
    """Values of min_score to be tried one after the other."""

    def __init__(self, *scores):
        self.scores = scores

    def min_score(self, wanted):
        return self.scores[0] if self.scores else None

    def corrected(self, min_score, found):
        assert min_score == self.scores[0]
        return FixedEstimate(*self.scores[1:])


@pytest.mark.slow
def test_an_estimate_that_is_too_high_is_detected_and_the_answer_completed():
    x = clustered(1, 300, 16)
    expected = paraphrases(x, top_k=4, max_pairs=201)
    # One pair more than is asked for has to be there, to tell whether more qualify.
    last, one_more = expected[199][0], expected.pop()[0]
    high, too_high = last + 1e-6, 0.999999
    assert one_more < last
    cases = [
        (too_high,), (expected[150][0],), (one_more,), (last,), (high,), (-1.0,), (), (high, one_more),
        (too_high, last), (too_high, high, one_more),
    ]  # fmt: skip
    spec = JoinSpec(300, 300, self_join=True, k_left=4, k_right=4, max_pairs=200)
    for scores in cases:

        class Estimated(SimilarityJoin):
            def _estimate(self, scores=scores):
                return FixedEstimate(*scores)

        told: list[tuple[int, int]] = []

        def tell(done, total, told=told):
            told.append((done, total))

        job = Job(tuning=SMALL, progress=tell)
        assert list(Estimated(x, None, spec, budget=1 << 28, job=job).run().pairs) == expected
        # A further round is told as more to do, never as less done.
        assert told[0][0] == 0
        assert told == sorted(told)
        failed = sum(min_score > one_more for min_score in scores[: SMALL.estimates])
        assert told[-1][0] == told[-1][1] == told[0][1] * (1 + failed)


def estimate_of(x, **spec):
    n = len(x)
    spec = JoinSpec(n, n, self_join=True, **spec)
    return estimation.estimate_pairs(x, spec, budget=1 << 30, workers=1, tuning=SMALL)


@pytest.mark.slow
def test_an_estimate_lies_under_the_last_pair_and_not_far():
    x = clustered(2, 4000, 32)
    estimate = estimate_of(x, k_left=20, k_right=20, max_pairs=3000)
    min_score = estimate.min_score(3000)
    scores = mine_paraphrases(x, top_k=20, max_pairs=30_000).score
    assert scores[12_000] < min_score < scores[2_900]
    # Fewer found than it said: the next min_score is lower. More: not higher than what they support.
    expected = int(estimate.pairs[np.searchsorted(-estimate.scores, -min_score, side="right") - 1])
    assert estimate.corrected(min_score, expected // 3).min_score(3000) < min_score
    assert estimate.corrected(min_score, 0).min_score(3000) is None


def test_an_estimate_for_equal_rows_is_not_over_their_score(rng):
    x = unit_rows(np.repeat(rng.standard_normal((40, 96)), 50, axis=0))
    score = mine_paraphrases(x, top_k=30, max_pairs=2000).score[-1]
    min_score = estimate_of(x, k_left=30, k_right=30, max_pairs=2000).min_score(2000)
    assert score - 1e-4 < min_score <= score


def test_a_sample_is_never_asked_for_more_than_all_its_pairs():
    x = clustered(2, 1200, 16)
    min_score = estimate_of(x, k_left=None, k_right=None, max_pairs=44_000).min_score(44_000)
    assert min_score is not None
    assert min_score <= mine_paraphrases(x, top_k=None, max_pairs=44_000).score[-1]


# The choice of stages as it is where products take the time that they took on one machine.
KNOWN_MACHINE = Tuning(product_seconds=(0.25e-9, 5e-12), compress_seconds=0)


def stages_for(x, min_score, tuning=KNOWN_MACHINE):
    n = len(x)
    spec = JoinSpec(n, n, self_join=True, min_score=min_score)
    limits = Candidates(spec, capacity=1 << 20).limits
    plan = plan_tiles(n, n, self_join=True, budget=1 << 30, workers=1, kept=0, fixed=0, per_worker=0)
    row_orders = (np.arange(n), np.arange(n))
    stage_components, choice = choose_stages(x, x, limits, row_orders, basis(x, None), None, plan, tuning)
    return stage_components, choice.stages


def test_few_components_are_multiplied_if_they_hold_most(rng):
    x = unit_rows(rng.standard_normal((3000, 256)) * 0.93 ** np.arange(256))
    stage_components, choice = stages_for(x, 0.95)
    assert stage_components[0] < 128
    assert choice.max() < len(stage_components)
    stage_components, choice = stages_for(unit_rows(rng.standard_normal((3000, 256))), 0.2)
    assert stage_components[choice[0, 0]] > 128


def test_without_any_limit_every_component_is_multiplied(rng):
    stage_components, _ = stages_for(unit_rows(rng.standard_normal((500, 24))), -np.inf)
    assert stage_components == [24]


def test_near_tiles_take_more_components_than_far_ones(rng):
    near, far = (rng.standard_normal((1, 256)) for _ in range(2))
    scales = 0.97 ** np.arange(256)
    x = unit_rows(
        np.repeat([near, far], 1600, axis=0).reshape(-1, 256) + 3 * rng.standard_normal((3200, 256)) * scales
    )
    _, choice = stages_for(x, 0.75)
    assert choice[0, 0] > choice[0, -1]
    assert choice[-1, -1] > choice[0, -1]


def test_a_tile_with_many_survivors_takes_the_next_stage(monkeypatch):
    x = clustered(5, 300, 32)
    taken = []
    scores = Int8Scorer.scores
    monkeypatch.setattr(
        Int8Scorer, "scores", lambda self, number, *a: taken.append(number) or scores(self, number, *a)
    )

    class Staged(SimilarityJoin):
        def _choose_stages(self, *_):
            return [4, 16, 32], Choice(np.zeros((10, 5), np.int8), 32, 64)

    spec = JoinSpec(300, 300, self_join=True, min_score=0.8)
    job = Job(kernel="int8", tuning=dataclasses.replace(SMALL, many_hits=0.1))
    expected = paraphrases(x, top_k=None, max_pairs=None, threshold=0.8)
    assert list(Staged(x, None, spec, budget=1 << 28, job=job).run().pairs) == expected
    assert {0, 1} <= set(taken)


def test_a_processor_whose_int8_product_is_wrong_gets_float32():
    x = clustered(3, 200, 16)
    expected = list(mine_paraphrases(x, top_k=3))
    wrong = dataclasses.replace(SMALL, qmax=None)
    assert list(mine_paraphrases(x, top_k=3, tuning=wrong)) == expected
    with pytest.raises(ArgumentError, match="int8 product is wrong; use kernel 'auto' or 'fp32'"):
        mine_paraphrases(x, kernel="int8", tuning=wrong)


def test_seven_bits_give_the_same_answer():
    x = clustered(4, 300, 32)
    found = mine_paraphrases(
        x, top_k=5, max_pairs=100, kernel="int8", tuning=dataclasses.replace(SMALL, qmax=63)
    )
    assert list(found) == paraphrases(x, top_k=5, max_pairs=100)


def test_another_kernel_is_refused_with_the_choices():
    with pytest.raises(ArgumentError, match="kernel must be one of auto, int8, fp32, not 'int4'"):
        lightmine.neighbors(np.eye(3), kernel="int4")


def test_similar_rows_stand_together():
    x = clustered(5, 400, 16, spread=0.1)
    cluster, same = cluster_rows(x, None, workers=2, tuning=SMALL)
    assert cluster is same
    assert sorted(cluster.order.tolist()) == list(range(400))
    placed = x[cluster.order]
    assert (placed[1:] * placed[:-1]).sum(axis=1).mean() > 2 * (x[1:] * x[:-1]).sum(axis=1).mean() + 0.1


def test_a_pool_does_every_task_once_and_hands_on_the_first_error():
    seen, lock, threads = [], threading.Lock(), threading.active_count()

    def work(tools, task):
        with lock:
            seen.append(task)

    pool.run(range(1000), work, object, workers=4)
    assert sorted(seen) == list(range(1000))
    with pytest.raises(ZeroDivisionError):
        pool.run(range(10), lambda tools, task: 1 // (task - 5), object, workers=2)
    with pytest.raises(LookupError, match="no tools"):
        pool.run(range(10), work, lambda: {}["no tools"], workers=2)
    assert threading.active_count() == threads


def test_blas_gets_its_threads_back_after_the_last_of_several_jobs():
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = contextlib.ExitStack(), contextlib.ExitStack()
        first.enter_context(pool.one_blas_thread)
        second.enter_context(pool.one_blas_thread)
        first.close()
        assert threads() == {1}
        second.close()
        assert threads() == before


@pytest.mark.parametrize(("speedup", "quantized"), [(0.5, False), (5.0, True)])
def test_the_speedup_of_int8_decides_between_kernels(monkeypatch, speedup, quantized):
    x = clustered(6, 200, 16)
    used = []
    kernel = SimilarityJoin._kernel
    monkeypatch.setattr(SimilarityJoin, "_kernel", lambda self, *a: used.append(kernel(self, *a)) or used[-1])
    tuning = dataclasses.replace(SMALL, int8_speedup=speedup)
    expected = paraphrases(x, top_k=None, max_pairs=None, threshold=0.5)
    assert list(mine_paraphrases(x, top_k=None, max_pairs=None, threshold=0.5, tuning=tuning)) == expected
    assert [one.stages[0].integer for one in used] == [quantized and matmul.safe_int8_qmax() is not None]
