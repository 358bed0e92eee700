"""Contract 5: at most the memory budget is allocated beyond the caller's matrix and the result."""

import tracemalloc

import numpy as np
import pytest

from lightmine import mine_bitext, mine_paraphrases, neighbors, unit_rows
from lightmine.engine.tiling import parse_bytes
from lightmine.errors import BudgetError


@pytest.fixture(scope="module")
def clustered():
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((60, 48))
    return unit_rows(centres[rng.integers(0, 60, 6000)] + rng.standard_normal((6000, 48)))


def peak_of(job):
    job()  # what is allocated once, at first use, is not the job's
    tracemalloc.start()
    result = job()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, result


@pytest.mark.slow
@pytest.mark.parametrize("budget", ["24MiB", "64MiB", "256MiB"])
def test_a_flood_of_candidates_stays_within_the_budget(clustered, budget):
    peak, pairs = peak_of(
        lambda: mine_paraphrases(clustered, top_k=50, max_pairs=20_000, memory_budget=budget, threads=2)
    )
    assert len(pairs) == 20_000
    assert peak <= parse_bytes(budget)


@pytest.mark.slow
def test_neighbours_stay_within_the_budget(clustered):
    peak, near = peak_of(lambda: neighbors(clustered, k=10, memory_budget="40MiB", threads=2))
    assert near.index.shape == (6000, 10)
    assert peak <= parse_bytes("40MiB") + near.index.nbytes + near.score.nbytes


def test_the_answer_does_not_depend_on_the_budget(clustered):
    small, large = (
        mine_paraphrases(clustered, top_k=50, max_pairs=20_000, memory_budget=budget)
        for budget in ("24MiB", "1GiB")
    )
    assert list(small) == list(large)


def test_a_budget_that_cannot_do_is_refused_before_any_work(clustered):
    called = []
    with pytest.raises(BudgetError, match=r"needs a memory_budget of \d+MiB at the least, not 5MiB"):
        neighbors(clustered, k=50, memory_budget="5MiB", progress=lambda *_: called.append(1))
    assert not called


@pytest.mark.slow
def test_a_threshold_alone_may_fill_the_budget(clustered):
    peak, pairs = peak_of(
        lambda: mine_paraphrases(clustered, top_k=None, max_pairs=None, threshold=0.5, memory_budget="48MiB")
    )
    result = pairs.left.nbytes + pairs.right.nbytes + pairs.score.nbytes
    assert len(pairs) > 160_000
    assert peak <= parse_bytes("48MiB") + result


@pytest.mark.slow
def test_identical_sentences_without_end_stay_within_the_budget():
    x = np.tile(unit_rows([[1.0, 2.0, 3.0]]), (3000, 1))
    peak, pairs = peak_of(
        lambda: mine_paraphrases(x, top_k=3, max_pairs=1000, memory_budget="24MiB", threads=2)
    )
    # Among equal scores the lower index wins: everybody lists the first three rows, which list each other.
    assert list(pairs)[:3] == [(pairs.score[0], 0, 1), (pairs.score[0], 0, 2), (pairs.score[0], 0, 3)]
    assert len(pairs) == 1000
    assert peak <= parse_bytes("24MiB")


@pytest.mark.slow
def test_bitext_mining_stays_within_the_budget_and_its_neighbours(clustered):
    peak, found = peak_of(
        lambda: mine_bitext(clustered, clustered[::-1], k=8, memory_budget="96MiB", threads=2)
    )
    neighbours = 2 * len(clustered) * 8 * (8 + 4)
    assert len(found) > 5000
    assert peak <= parse_bytes("96MiB") + neighbours
