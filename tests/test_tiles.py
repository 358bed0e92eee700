import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine.engine.tiling import Plan, format_bytes, parse_bytes, plan_tiles
from lightmine.engine.tuning import Tuning
from lightmine.errors import ArgumentError, BudgetError

sizes = st.integers(1, 40)


@given(n=sizes, m=sizes, rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_tiles_cover_every_pair_once(n, m, rows, columns):
    seen = np.zeros((n, m), int)
    for r, c in Plan(n, m, False, rows, columns, 1, 0).tiles():
        seen[r, c] += 1
    assert (seen == 1).all()


@given(n=sizes, rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_upper_tiles_cover_every_pair_of_one_collection_once(n, rows, columns):
    seen = np.zeros((n, n), int)
    plan = Plan(n, n, True, rows, columns, 1, 0)
    for r, c in plan.tiles():
        seen[r, c] += 1
    assert (seen[np.triu_indices(n, 1)] == 1).all()
    assert seen.max(initial=0) <= 1
    assert plan.pairs() == seen.sum()


def test_large_collections_leave_out_nearly_half():
    plan = Plan(10_000, 10_000, True, 256, 1024, 1, 0)
    assert plan.pairs() < 0.56 * 10_000**2


@pytest.mark.parametrize("budget", ["32MiB", "128MiB", "1GiB"])
def test_a_smaller_budget_gives_smaller_tiles_or_fewer_candidates(budget):
    size = parse_bytes(budget)
    plan = plan_tiles(
        10**5, 10**5, self_join=True, budget=size, workers=2, kept=10_000, fixed=0, per_worker=0
    )
    assert plan.workers * plan.rows * plan.columns * 13 + plan.candidates * 250 <= size


def test_many_processors_do_not_make_a_small_job_too_large():
    plan = plan_tiles(
        10, 10, self_join=True, budget=1 << 26, workers=128, kept=10, fixed=0, per_worker=1 << 24
    )
    assert plan.workers == 1
    plan = plan_tiles(
        10**5, 10**5, self_join=True, budget=1 << 28, workers=64, kept=10, fixed=0, per_worker=1 << 24
    )
    assert 1 <= plan.workers < 16


def test_a_budget_that_cannot_do_is_refused_with_one_that_can():
    arguments = dict(self_join=True, workers=2, kept=10**6, fixed=0, per_worker=0)
    with pytest.raises(
        BudgetError, match=r"needs a memory_budget of (\d+)MiB at the least, not 10MiB"
    ) as error:
        plan_tiles(10**5, 10**5, budget=10 << 20, **arguments)
    need = str(error.value).split("memory_budget of ")[1].split()[0]
    assert plan_tiles(10**5, 10**5, budget=parse_bytes(need), **arguments).candidates >= 10**6


@pytest.mark.parametrize("size", ["", "GiB", "-1", "1 XB", "1e9", None, True, 1.5j])
def test_what_is_not_a_size_is_refused(size):
    with pytest.raises(ArgumentError, match="is not a size; write bytes, or '512MiB'"):
        parse_bytes(size)


@given(st.integers(1, 1 << 50))
def test_a_formatted_size_suffices(size):
    assert size <= parse_bytes(format_bytes(size)) < size + (1 << 20)


@given(rows=st.integers(1, 600), columns=st.integers(1, 20_000), budget=st.sampled_from([1 << 23, 1 << 28]))
def test_tiles_of_the_kernel_begin_with_a_pair_of_panels(rows, columns, budget):
    tuning = Tuning(native_tile=(rows, columns))
    plan = plan_tiles(
        10**4, 10**4, self_join=True, budget=budget, workers=4, kept=1000, fixed=0, per_worker=1 << 20,
        native=True, tuning=tuning,
    )  # fmt: skip
    assert plan.columns % 32 == 0 < plan.columns
