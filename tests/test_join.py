"""Whatever makes the engine faster changes no byte of the answer."""

import contextlib
import dataclasses
import threading

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import lightmine
from lightmine import unit_rows
from lightmine.engine import estimate as estimation
from lightmine.engine import native, pool
from lightmine.engine.components import choose_components
from lightmine.engine.job import Job
from lightmine.engine.join import SimilarityJoin
from lightmine.engine.spec import JoinSpec
from lightmine.engine.tiling import parse_bytes
from lightmine.engine.tuning import Tuning
from lightmine.errors import ArgumentError, BudgetError
from lightmine.paraphrase import _mine
from lightmine.search import _neighbors
from tests import variants
from tests.oracle import dense, nearest, paraphrases
from tests.rows import KINDS, adversarial, clustered
from tests.variants import COMPONENTS, ENGINES, SMALL, VARIANTS, needs_kernel


def mine_paraphrases(
    x, engine, *, tuning=SMALL, top_k=100, max_pairs=500_000, threshold=None, max_score=None, **options
):
    limits = dict(top_k=top_k, max_pairs=max_pairs, threshold=threshold, max_score=max_score)
    return _mine(x, **limits, job=variants.job(engine, tuning, **options))


def neighbors(x, y=None, *, k, engine, both=False, tuning=SMALL, **options):
    return _neighbors(x, y, k, both, variants.job(engine, tuning, **options))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tuning", [SMALL, COMPONENTS], ids=["all components", "leading components"])
@pytest.mark.parametrize(
    "options",
    [
        dict(top_k=100, max_pairs=60), dict(top_k=3, max_pairs=100),
        dict(top_k=None, max_pairs=None, threshold=0.6),
        dict(top_k=5, max_pairs=None), dict(top_k=1, max_pairs=1), dict(top_k=2, max_pairs=50, threshold=0.9),
        dict(top_k=3, max_pairs=80, max_score=0.8), dict(top_k=None, max_pairs=100, max_score=0.9),
        dict(top_k=None, max_pairs=None, threshold=-1.0, max_score=-0.2),
    ],
)  # fmt: skip
def test_every_engine_finds_the_pairs_of_brute_force(engine, tuning, options):
    for seed, d in enumerate((24, 100)):
        x = clustered(seed, 260, d)
        found = mine_paraphrases(x, engine, tuning=tuning, threads=2, **options)
        assert list(found) == paraphrases(x, **options)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("k", [1, 4, 30, 500])
def test_every_engine_finds_the_neighbours_of_brute_force(engine, k):
    x, y = clustered(0, 170, 100), clustered(50, 230, 100)
    scores = dense(x, y)
    for tuning in (SMALL, COMPONENTS):
        near = neighbors(x, y, k=k, both=True, engine=engine, tuning=tuning)
        assert near.index.tolist() == nearest(scores, k)
        assert near.reverse.index.tolist() == nearest(scores.T, k)
        alone = neighbors(x, k=k, engine=engine, tuning=tuning)
        assert alone.index.tolist() == nearest(dense(x), k, self_join=True)
        assert neighbors(x, y, k=k, engine=engine, tuning=tuning).index.tolist() == nearest(scores, k)


@st.composite
def edges(draw):
    """Rows of two sides around the sizes of panels and blocks, dimensions around those of components."""
    size = st.integers(1, 70) | st.sampled_from([15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65])
    d = draw(
        st.integers(1, 20)
        | st.sampled_from([31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 193, 1099, 1100])
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = st.sampled_from(KINDS)
    x, y = (adversarial(draw(kinds), rng, draw(size), d) for _ in range(2))
    if draw(st.booleans()):
        # Near pairs across the sides too, and exact copies.
        count = min(len(x), len(y))
        y[:count] = x[rng.integers(0, len(x), count)]
    return x, y


@pytest.mark.slow
@settings(max_examples=25)
@given(sides=edges(), k=st.sampled_from([1, 2, 5, 80]), components=st.booleans(), seed=st.integers(0, 99))
def test_engines_agree_to_the_byte_on_rows_of_every_kind_and_shape(sides, k, components, seed):
    x, y = sides
    rng = np.random.default_rng(seed)
    tuning = dataclasses.replace(
        COMPONENTS if components else SMALL,
        native_tile=(int(rng.integers(1, 80)), 32 * int(rng.integers(1, 4))),
        numpy_tile=(int(rng.integers(1, 40)), int(rng.integers(1, 40))), scale_quantiles=(0.5, 1.0),
    )  # fmt: skip
    scores = dense(x, y)
    limits = [dict(top_k=k, max_pairs=7), dict(top_k=None, max_pairs=None, threshold=float(scores[0, 0]))]
    if len(x) > 1:
        limits.append(dict(top_k=k, max_pairs=None, max_score=float(dense(x)[0, 1])))
    expected = [paraphrases(x, **options) for options in limits]
    for engine in variants.runnable():
        near = neighbors(x, y, k=k, both=True, engine=engine, tuning=tuning)
        assert near.index.tolist() == nearest(scores, k), engine
        assert near.reverse.index.tolist() == nearest(scores.T, k), engine
        assert near.score.tobytes() == np.take_along_axis(scores, near.index, 1).tobytes(), engine
        for options, pairs in zip(limits, expected, strict=True):
            assert list(mine_paraphrases(x, engine, tuning=tuning, **options)) == pairs, engine


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("n", "m"), [(300, 10), (300, 63), (10, 300), (65, 64), (129, 31), (1, 1), (40, 1)])
def test_sides_of_any_shape(engine, n, m):
    x, y = clustered(1, n, 16), clustered(2, m, 16)
    near = neighbors(x, y, k=3, both=True, engine=engine)
    scores = dense(x, y)
    assert near.index.tolist() == nearest(scores, 3)
    assert near.reverse.index.tolist() == nearest(scores.T, 3)
    spec = JoinSpec(n, m, self_join=False, min_score=0.3)
    found = SimilarityJoin(x, y, spec, budget=1 << 28, job=variants.job(engine)).run().pairs
    expected = [tuple(pair) for pair in np.argwhere(scores >= np.float32(0.3)).tolist()]
    assert sorted(zip(found.left.tolist(), found.right.tolist(), strict=True)) == expected


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("k_left", "k_right"), [(3, None), (None, 3), (2, 5)])
def test_lists_of_either_side_alone(engine, k_left, k_right):
    x, y = clustered(1, 130, 20), clustered(2, 90, 20)
    spec = JoinSpec(130, 90, self_join=False, k_left=k_left, k_right=k_right)
    found = SimilarityJoin(x, y, spec, budget=1 << 28, job=variants.job(engine)).run()
    scores = dense(x, y)
    for k, mask, table, own, other in (
        (k_left, found.by_left, scores, "left", "right"),
        (k_right, found.by_right, scores.T, "right", "left"),
    ):
        if k is not None:
            listed = found.pairs[mask]
            pairs = list(zip(getattr(listed, own).tolist(), getattr(listed, other).tolist(), strict=True))
            expected = {(row, j) for row, line in enumerate(nearest(table, k)) for j in line}
            assert len(pairs) == len(expected)
            assert set(pairs) == expected


@needs_kernel
def test_a_buffer_that_is_full_again_and_again_loses_no_pair():
    # All pairs qualify: a call returns after each tile, since one more tile might not fit.
    x = unit_rows(np.random.default_rng(0).standard_normal((1300, 8)))
    tuning = dataclasses.replace(SMALL, native_tile=(512, 4096))
    for capacity in (0, 40_000):
        sized = dataclasses.replace(tuning, found_capacity=capacity)
        options = dict(top_k=None, max_pairs=None, threshold=-1.0, tuning=sized)
        found = mine_paraphrases(x, variants.KERNEL.name, **options)
        assert len(found) == 1300 * 1299 // 2
        assert len(np.unique(found.left * 1300 + found.right)) == len(found)


@pytest.mark.slow
@pytest.mark.parametrize("engine", VARIANTS)
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("tile", [(1, 32), (33, 96), (512, 16_384)])
def test_neither_threads_nor_tiles_change_a_byte(engine, threads, tile):
    x = clustered(3, 400, 70)
    tuning = dataclasses.replace(SMALL, native_tile=tile)
    options = dict(top_k=4, max_pairs=300)
    found = mine_paraphrases(x, engine, tuning=tuning, threads=threads, **options)
    assert list(found) == paraphrases(x, **options)
    near = neighbors(x[:170], x[170:], k=3, both=True, engine=engine, tuning=tuning, threads=threads)
    assert near.reverse.index.tolist() == nearest(dense(x[170:], x[:170]), 3)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_bounds_of_rows_kept_pair_by_pair_change_no_byte(engine):
    x = clustered(3, 400, 70)
    options = dict(top_k=4, max_pairs=None)
    for share in (0.0, 1.0):
        tuning = dataclasses.replace(SMALL, best_scores_share=share)
        assert list(mine_paraphrases(x, engine, tuning=tuning, **options)) == paraphrases(x, **options)


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
@pytest.mark.parametrize("engine", ENGINES)
def test_an_estimate_that_is_too_high_is_detected_and_the_answer_completed(engine):
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

        job = variants.job(engine, progress=tell)
        assert list(Estimated(x, None, spec, budget=1 << 28, job=job).run().pairs) == expected
        # A further round is told as more to do, never as less done.
        assert told[0][0] == 0
        assert told == sorted(told)
        failed = sum(min_score > one_more for min_score in scores[: SMALL.estimates])
        assert told[-1][0] == told[-1][1] == told[0][1] * (1 + failed)


def estimate_of(x, **spec):
    n = len(x)
    spec = JoinSpec(n, n, self_join=True, **spec)
    job = Job(tuning=SMALL, threads=1)
    return estimation.estimate_pairs(SimilarityJoin(x, None, spec, budget=1 << 30, job=job))


@pytest.mark.slow
def test_an_estimate_lies_under_the_last_pair_and_not_far():
    x = clustered(2, 4000, 32)
    estimate = estimate_of(x, k_left=20, k_right=20, max_pairs=3000)
    min_score = estimate.min_score(3000)
    scores = mine_paraphrases(x, "numpy", top_k=20, max_pairs=30_000).score
    assert scores[12_000] < min_score < scores[2_900]
    # Fewer found than it said: the next min_score is lower. More: not higher than what they support.
    expected = int(estimate.pairs[np.searchsorted(-estimate.scores, -min_score, side="right") - 1])
    assert estimate.corrected(min_score, expected // 3).min_score(3000) < min_score
    assert estimate.corrected(min_score, 0).min_score(3000) is None


def test_an_estimate_for_equal_rows_is_not_over_their_score(rng):
    x = unit_rows(np.repeat(rng.standard_normal((40, 96)), 50, axis=0))
    score = mine_paraphrases(x, "numpy", top_k=30, max_pairs=2000).score[-1]
    min_score = estimate_of(x, k_left=30, k_right=30, max_pairs=2000).min_score(2000)
    assert score - 1e-4 < min_score <= score


def test_a_sample_is_never_asked_for_more_than_all_its_pairs():
    x = clustered(2, 1200, 16)
    min_score = estimate_of(x, k_left=None, k_right=None, max_pairs=44_000).min_score(44_000)
    assert min_score is not None
    assert min_score <= mine_paraphrases(x, "numpy", top_k=None, max_pairs=44_000).score[-1]


def components_for(x, name="avx2", **spec):
    tuning = dataclasses.replace(Tuning(), component_shares=(0.25, 0.5, 1.0))
    return choose_components(
        x, JoinSpec(len(x), len(x), self_join=True, **spec), native.Kernel(None, name), tuning
    )


def test_few_components_are_multiplied_if_they_hold_most(rng):
    x = unit_rows(rng.standard_normal((3000, 256)) * 0.93 ** np.arange(256))
    assert components_for(x, min_score=0.95) == 64
    assert components_for(unit_rows(rng.standard_normal((3000, 256))), min_score=0.2) is None
    # Where every pair passes anyway, the product is only a cost.
    assert components_for(x) == 64


def test_a_sample_that_is_too_small_chooses_no_components(rng):
    assert components_for(unit_rows(rng.standard_normal((20, 256))), min_score=0.9) is None


def test_leading_components_are_forced_in_these_tests():
    # Else the tests above would run the same code twice.
    x = clustered(0, 260, 100)
    spec = JoinSpec(260, 260, self_join=True, min_score=0.6)
    assert choose_components(x, spec, native.Kernel(None, "avx2"), COMPONENTS) == 64


@pytest.mark.parametrize("kernel", ["auto", "numpy"])
def test_a_processor_that_no_variant_suits_gets_numpy(monkeypatch, kernel):
    x = clustered(3, 200, 16)
    monkeypatch.setattr(native, "find_kernel", lambda: (None, "no variant suits this processor"))
    limits = dict(top_k=3, max_pairs=100, threshold=None, max_score=None)
    assert list(_mine(x, **limits, job=Job(kernel=kernel, tuning=SMALL))) == paraphrases(
        x, top_k=3, max_pairs=100
    )
    with pytest.raises(
        ArgumentError, match="kernel 'native' cannot be used: no variant suits this processor; use 'auto' or"
    ):
        _mine(x, **limits, job=Job(kernel="native", tuning=SMALL))


@needs_kernel
def test_the_kernel_mines_what_is_large_and_fits_the_budget():
    x = clustered(3, 2000, 32)
    spec = JoinSpec(2000, 2000, self_join=True, k_left=3, k_right=3)

    def chosen(budget=1 << 28, kernel="auto", rows=2000):
        one = dataclasses.replace(spec, n=rows, m=rows)
        return SimilarityJoin(x[:rows], None, one, budget=budget, job=Job(kernel=kernel, threads=1)).kernel

    assert chosen() is variants.KERNEL
    assert chosen(kernel="native", rows=20) is variants.KERNEL
    assert chosen(kernel="numpy") is None
    assert chosen(rows=20) is None
    # NumPy works in less memory.
    needs = {}
    for kernel in ("native", "numpy"):
        with pytest.raises(BudgetError, match=r"needs a memory_budget of \d+MiB at the least") as raised:
            chosen(budget=1, kernel=kernel)
        needs[kernel] = parse_bytes(str(raised.value).split("memory_budget of ")[1].split()[0])
    assert needs["numpy"] < needs["native"]
    assert chosen(budget=needs["native"], kernel="native") is variants.KERNEL
    assert chosen(budget=needs["numpy"]) is None


def test_a_product_that_reads_what_was_there_before_loses_no_pair(monkeypatch):
    # As OpenBLAS's syrk does on some ARM processors: zero times what is not a number is not zero.
    x = clustered(3, 200, 16)
    matmul = np.matmul

    def reading(a, b, out):
        np.add(0 * out, matmul(a, b), out=out)
        return out

    monkeypatch.setattr(np, "matmul", reading)
    found = list(mine_paraphrases(x, "numpy", threshold=0.5, max_pairs=None, top_k=None))
    assert found == paraphrases(x, threshold=0.5, max_pairs=None, top_k=None)
    assert found


def test_another_kernel_is_refused_with_the_choices():
    with pytest.raises(ArgumentError, match="kernel must be one of auto, native, numpy, not 'int4'"):
        lightmine.neighbors(np.eye(3), kernel="int4")


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
