"""Whatever makes the engine faster changes no byte of the answer."""

import contextlib
import threading

import numpy as np
import pytest

from lightmine import mine_paraphrases, neighbors, unit_rows
from lightmine.engine import bounds as kernels
from lightmine.engine import clustering as orders
from lightmine.engine import estimate as sampling
from lightmine.engine import join, pool
from lightmine.engine import matmul as products
from lightmine.engine import stages as ladder
from lightmine.engine import tiling as tiles
from lightmine.engine import worker as worker
from lightmine.engine.selection import Candidates, JoinSpec
from lightmine.errors import ArgumentError
from tests.oracle import dense, nearest, paraphrases


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    """Small inputs take the paths of large ones: twins, guesses, many tiles."""
    monkeypatch.setattr(join, "SMALL", 1)
    monkeypatch.setattr(tiles, "ROWS", 32)
    monkeypatch.setattr(tiles, "COLUMNS", 64)
    monkeypatch.setattr(sampling, "COLUMNS", 64)
    monkeypatch.setattr(worker, "SURVIVORS", 50)
    monkeypatch.setattr(sampling, "LEAST_ROWS", 40)
    monkeypatch.setattr(orders, "PARTNERS", 24)
    monkeypatch.setattr(orders, "PIVOTS", 8)


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
    rule = JoinSpec(n, m, self_join=False, min_score=0.3)
    found = join.join(x, y, rule, budget=1 << 28, job=join.Job(kernel="int8")).pairs
    expected = [tuple(pair) for pair in np.argwhere(scores >= np.float32(0.3)).tolist()]
    assert sorted(zip(found.left.tolist(), found.right.tolist(), strict=True)) == expected


class FixedGuess:
    """Floors to be tried one after the other."""

    def __init__(self, *floors):
        self.floors = floors

    def min_score(self, wanted):
        return self.floors[0] if self.floors else None

    def corrected(self, min_score, found):
        assert min_score == self.floors[0]
        return FixedGuess(*self.floors[1:])


def test_a_guess_that_is_too_high_is_found_out_and_the_answer_completed(monkeypatch):
    x = clustered(1, 300, 16)
    expected = paraphrases(x, top_k=4, max_pairs=201)
    # One pair more than is asked for has to be there, to tell whether more qualify.
    last, one_more = expected[199][0], expected.pop()[0]
    high, too_high = last + 1e-6, 0.999999
    assert one_more < last
    cases = [
        (too_high,),
        (expected[150][0],),
        (one_more,),
        (last,),
        (high,),
        (-1.0,),
        (),
        (high, one_more),
        (too_high, last),
        (too_high, high, one_more),
    ]
    for floors in cases:
        monkeypatch.setattr(join, "guess_pairs", lambda *_, floors=floors, **__: FixedGuess(*floors))
        told: list[tuple[int, int]] = []

        def tell(done, total, told=told):
            told.append((done, total))

        pairs = mine_paraphrases(x, top_k=4, max_pairs=200, progress=tell)
        assert list(pairs) == expected
        # A further round is told as more to do, never as less done.
        assert told[0][0] == 0
        assert told == sorted(told)
        failed = sum(min_score > one_more for min_score in floors[: join.ESTIMATES])
        assert told[-1][0] == told[-1][1] == told[0][1] * (1 + failed)


def guess_of(x, **rule):
    n = len(x)
    return sampling.estimate_pairs(x, JoinSpec(n, n, self_join=True, **rule), budget=1 << 30, workers=1)


def test_a_guess_lies_under_the_last_pair_and_not_far():
    x = clustered(2, 4000, 32)
    estimate = guess_of(x, k_left=20, k_right=20, max_pairs=3000)
    min_score = estimate.min_score(3000)
    scores = mine_paraphrases(x, top_k=20, max_pairs=30_000).score
    assert scores[12_000] < min_score < scores[2_900]
    # Fewer found than it said: the next floor is lower. More: not higher than what they bear out.
    expected = int(estimate.pairs[np.searchsorted(-estimate.scores, -min_score, side="right") - 1])
    assert estimate.corrected(min_score, expected // 3).min_score(3000) < min_score
    assert estimate.corrected(min_score, 0).min_score(3000) is None


def test_a_guess_for_equal_rows_is_not_over_their_score(rng):
    x = unit_rows(np.repeat(rng.standard_normal((40, 96)), 50, axis=0))
    score = mine_paraphrases(x, top_k=30, max_pairs=2000).score[-1]
    min_score = guess_of(x, k_left=30, k_right=30, max_pairs=2000).min_score(2000)
    assert score - 1e-4 < min_score <= score


def test_a_sample_is_never_asked_for_more_than_all_its_pairs():
    x = clustered(2, 1200, 16)
    min_score = guess_of(x, k_left=None, k_right=None, max_pairs=44_000).min_score(44_000)
    assert min_score is not None
    assert min_score <= mine_paraphrases(x, top_k=None, max_pairs=44_000).score[-1]


@pytest.fixture
def _known_machine(monkeypatch):
    """The choice of depths as it falls where products take what they took on one machine."""
    monkeypatch.setattr(ladder, "_product_seconds", lambda *_: (0.25e-9, 5e-12))
    monkeypatch.setattr(ladder, "MAKING_SECONDS", 0)
    monkeypatch.setattr(tiles, "ROWS", 512)
    monkeypatch.setattr(tiles, "COLUMNS", 1024)


def rungs_for(x, min_score, qmax=None):
    n = len(x)
    rule = JoinSpec(n, n, self_join=True, min_score=min_score)
    limits = Candidates(rule, capacity=1 << 20).limits
    plan = tiles.plan_tiles(n, n, self_join=True, budget=1 << 30, workers=1, kept=0, fixed=0, per_worker=0)
    places = (np.arange(n), np.arange(n))
    stage_components, choice = ladder.choose_stages(x, x, limits, places, join.basis(x, None), qmax, plan)
    return stage_components, choice.stages


@pytest.mark.usefixtures("_known_machine")
def test_depths_that_pay_are_found_where_few_coordinates_hold_most(rng):
    x = unit_rows(rng.standard_normal((3000, 256)) * 0.93 ** np.arange(256))
    stage_components, choice = rungs_for(x, 0.95)
    assert stage_components[0] < 128
    assert choice.max() < len(stage_components)
    stage_components, choice = rungs_for(unit_rows(rng.standard_normal((3000, 256))), 0.2)
    assert stage_components[choice[0, 0]] > 128


def test_without_any_limit_every_coordinate_counts(rng):
    stage_components, _ = rungs_for(unit_rows(rng.standard_normal((500, 24))), -np.inf)
    assert stage_components == [24]


@pytest.mark.usefixtures("_known_machine")
def test_near_tiles_take_deeper_rungs_than_far_ones(rng):
    near, far = (rng.standard_normal((1, 256)) for _ in range(2))
    scales = 0.97 ** np.arange(256)
    x = unit_rows(
        np.repeat([near, far], 1600, axis=0).reshape(-1, 256) + 3 * rng.standard_normal((3200, 256)) * scales
    )
    _, choice = rungs_for(x, 0.75)
    assert choice[0, 0] > choice[0, -1]
    assert choice[-1, -1] > choice[0, -1]


def test_a_tile_with_many_survivors_takes_the_next_rung(monkeypatch):
    x = clustered(5, 300, 32)
    taken = []
    scores = kernels.Int8Scorer.scores
    monkeypatch.setattr(
        kernels.Int8Scorer,
        "scores",
        lambda self, number, *a: taken.append(number) or scores(self, number, *a),
    )
    choice = ladder.Choice(np.zeros((10, 5), np.int8), 32, 64)
    monkeypatch.setattr(join, "choose_rungs", lambda *_: ([4, 16, 32], choice))
    monkeypatch.setattr(worker, "MANY", 0.1)
    options = dict(top_k=None, max_pairs=None, threshold=0.8)
    assert list(mine_paraphrases(x, kernel="int8", **options)) == paraphrases(x, **options)
    assert {0, 1} <= set(taken)


def test_a_processor_whose_int8_product_is_wrong_gets_float32(monkeypatch):
    x = clustered(3, 200, 16)
    expected = list(mine_paraphrases(x, top_k=3))
    monkeypatch.setattr(join, "proven_levels", lambda: None)
    assert list(mine_paraphrases(x, top_k=3)) == expected
    with pytest.raises(ArgumentError, match="int8 product is wrong; use kernel 'auto' or 'fp32'"):
        mine_paraphrases(x, kernel="int8")


def test_seven_bits_give_the_same_answer(monkeypatch):
    x = clustered(4, 300, 32)
    monkeypatch.setattr(join, "proven_levels", lambda: 63)
    assert list(mine_paraphrases(x, top_k=5, max_pairs=100, kernel="int8")) == paraphrases(
        x, top_k=5, max_pairs=100
    )


def test_another_kernel_is_refused_with_the_choices():
    with pytest.raises(ArgumentError, match="kernel must be one of auto, int8, fp32, not 'int4'"):
        neighbors(np.eye(3), kernel="int4")


def test_similar_rows_stand_together():
    x = clustered(5, 400, 16, spread=0.1)
    order, same = orders.cluster_rows(x, None, workers=2)
    assert order is same
    assert sorted(order.places.tolist()) == list(range(400))
    placed = x[order.places]
    assert (placed[1:] * placed[:-1]).sum(axis=1).mean() > 2 * (x[1:] * x[:-1]).sum(axis=1).mean() + 0.1


def test_a_pool_does_every_task_once_and_hands_on_the_first_error():
    seen, lock, threads = [], threading.Lock(), threading.active_count()

    def shared(tools, task):
        with lock:
            seen.append(task)

    pool.run(range(1000), shared, object, workers=4)
    assert sorted(seen) == list(range(1000))
    with pytest.raises(ZeroDivisionError):
        pool.run(range(10), lambda tools, task: 1 // (task - 5), object, workers=2)
    with pytest.raises(LookupError, match="no tools"):
        pool.run(range(10), shared, lambda: {}["no tools"], workers=2)
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


def test_the_measured_gain_decides_between_kernels(monkeypatch):
    x = clustered(6, 200, 16)
    made = []
    original = join.compress_rows
    monkeypatch.setattr(join, "make_twins", lambda *a, **k: made.append(a[3]) or original(*a, **k))
    monkeypatch.setattr(join, "int8_gain", lambda: 0.5)
    expected = list(mine_paraphrases(x, threshold=0.5))
    assert 127 not in made
    monkeypatch.setattr(join, "int8_gain", lambda: 5.0)
    assert list(mine_paraphrases(x, threshold=0.5)) == expected
    assert made[-1] == products.safe_int8_qmax()
