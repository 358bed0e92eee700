import threading

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import neighbors, unit_rows
from lightmine.engine.job import Job
from lightmine.engine.matrix import PairScorer
from lightmine.engine.tuning import Tuning
from lightmine.errors import ArgumentError, BudgetError, MatrixError
from lightmine.search import _neighbors
from tests.oracle import dense, nearest


def collection(seed, n, d):
    """Rows from a coarse grid: many equal scores, many duplicates."""
    rng = np.random.default_rng(seed)
    return unit_rows(rng.integers(-2, 3, (n, d)) + np.eye(d)[rng.integers(0, d, n)] / 2)


sizes = st.integers(1, 70)
seeds = st.integers(0, 2**32)


@given(seed=seeds, n=sizes, m=sizes, d=st.integers(1, 6), k=st.integers(1, 12))
def test_both_directions_are_those_of_brute_force(seed, n, m, d, k):
    x, y = collection(seed, n, d), collection(seed + 1, m, d)
    near = neighbors(x, y, k=k, both=True, threads=2)
    scores = dense(x, y)
    assert near.index.tolist() == nearest(scores, k)
    assert near.reverse.index.tolist() == nearest(scores.T, k)
    assert (near.score == np.take_along_axis(scores, near.index, 1)).all()
    assert (near.reverse.score == np.take_along_axis(scores.T, near.reverse.index, 1)).all()


@given(seed=seeds, n=sizes, d=st.integers(1, 6), k=st.integers(1, 80))
def test_one_collection_never_finds_a_row_itself(seed, n, d, k):
    x = collection(seed, n, d)
    assert neighbors(x, k=k).index.tolist() == nearest(dense(x), k, self_join=True)


@given(seed=seeds, n=st.integers(2, 40), d=st.integers(2, 6))
def test_swapped_sides_give_swapped_directions(seed, n, d):
    x, y = collection(seed, n, d), collection(seed + 1, n + 3, d)
    there, back = neighbors(x, y, k=3, both=True), neighbors(y, x, k=3, both=True)
    assert (there.index == back.reverse.index).all()
    assert (there.reverse.score == back.score).all()


@given(seed=seeds, n=st.integers(2, 40))
def test_permuted_rows_give_the_same_scores(seed, n):
    rng = np.random.default_rng(seed)
    x = unit_rows(rng.standard_normal((n, 5)))
    order = rng.permutation(n)
    near, shuffled = neighbors(x, k=3), neighbors(x[order], k=3)
    assert (near.score[order] == shuffled.score).all()
    assert (near.index[order] == order[shuffled.index]).all()


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 7), (64, 16), (1000, 1000)])
@pytest.mark.parametrize("threads", [1, 3])
def test_nothing_you_tune_changes_the_answer(rows, columns, threads):
    x = collection(5, 300, 6)
    expected = neighbors(x, k=7)
    tuning = Tuning(tile_rows=rows, tile_columns=columns)
    job = Job(threads=threads, memory_budget="2GiB", tuning=tuning)
    found = _neighbors(x, None, k=7, both=False, job=job)
    assert found.index.tobytes() == expected.index.tobytes()
    assert found.score.tobytes() == expected.score.tobytes()


@pytest.mark.slow
def test_a_thousand_dimensions_and_thousands_of_rows(rng):
    x = unit_rows(rng.standard_normal((3000, 1024)))
    near = neighbors(x, k=5)
    scores = x.astype(np.float64) @ x.T.astype(np.float64)
    np.fill_diagonal(scores, -2)
    assert (near.index == np.argsort(-scores, axis=1)[:, :5]).all()


def test_rows_of_other_lengths_and_types_are_normalised(rng):
    x = rng.standard_normal((30, 5))
    assert (
        neighbors(x * 7, k=3).index == neighbors(x.astype(np.float16).astype(np.float64), k=3).index
    ).mean() > 0.9
    assert (neighbors(np.asfortranarray(unit_rows(x)), k=3).index == neighbors(unit_rows(x), k=3).index).all()


def test_k_is_capped_and_empty_sides_are_empty_answers():
    x = np.eye(3)
    assert neighbors(x, k=10).index.shape == (3, 2)
    assert neighbors(x[:1], k=10).index.shape == (1, 0)
    assert neighbors(x[:0], k=10).index.shape == (0, 0)
    near = neighbors(x, np.empty((0, 3)), k=4, both=True)
    assert near.index.shape == (3, 0)
    assert near.reverse.index.shape == (0, 0)


def test_progress_ends_at_the_whole(rng):
    seen = []
    neighbors(rng.standard_normal((500, 8)), k=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen == sorted(seen)


def test_an_error_in_a_worker_stops_the_others_and_reaches_the_caller(monkeypatch, rng):
    def broken(*_):
        raise FloatingPointError("broken kernel")

    monkeypatch.setattr(PairScorer, "exact", broken)
    threads = threading.active_count()
    with pytest.raises(FloatingPointError, match="broken kernel"):
        neighbors(rng.standard_normal((3000, 8)), k=2)
    assert threading.active_count() == threads


def test_ctrl_c_stops_the_workers(rng):
    def interrupt(done, total):
        raise KeyboardInterrupt

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        neighbors(rng.standard_normal((20000, 64)), k=2, progress=interrupt)
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(k=0), ArgumentError, "k must be a whole number of at least 1, not 0"),
        (dict(k=None), ArgumentError, "k must be a whole number of at least 1, not None"),
        (dict(k=2.5), ArgumentError, "k must be a whole number of at least 1, not 2.5"),
        (dict(threads=0), ArgumentError, "threads must be a whole number"),
        (dict(memory_budget="lots"), ArgumentError, "memory_budget: 'lots' is not a size"),
        (dict(memory_budget="1kB"), BudgetError, "normalised copy takes 1MiB, more than the memory_budget"),
        (
            dict(y=np.ones((2, 3))),
            ArgumentError,
            "the two sides have 4 and 3 dimensions; encode both with one",
        ),
        (dict(y=np.zeros((2, 4))), MatrixError, "right embeddings: row 0 is all zero"),
    ],
)
def test_what_cannot_be_done_is_refused_with_advice(arguments, error, message):
    with pytest.raises(error, match=message):
        neighbors(np.ones((100, 4)), **arguments)
