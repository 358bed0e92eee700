import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from lightmine.engine.selection import Candidates, ScoreBounds
from lightmine.engine.spec import JoinSpec
from lightmine.engine.top_k import descending, top_k
from lightmine.engine.tuning import DEFAULT_TUNING
from lightmine.errors import BudgetError
from tests import variants

scores = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 0.5000001, 1.0])


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60), scores), unique_by=lambda e: e[:2]),
    st.integers(1, 6),
)
@example([(0, 0, -1.0), (0, 1, -1.0)], 1)  # a score of -1 may have been cut, so it is no limit
def test_top_k_is_the_sorted_head_of_each_row(entries, k):
    rows, others, values = (
        (np.array(column) for column in zip(*entries, strict=True)) if entries else [np.empty(0, int)] * 3
    )
    limits = np.full(5, -np.inf, np.float32)
    mask = top_k(rows, others, values.astype(np.float32), k, limits)
    for row in range(5):
        mine = sorted((-np.float32(s), o) for r, o, s in entries if r == row)
        found = sorted(
            (-np.float32(s), o) for (r, o, s), m in zip(entries, mask, strict=True) if r == row and m
        )
        assert found == mine[:k]
        kth = -mine[k - 1][0] if len(mine) > k else -1
        assert limits[row] == (kth if kth > -1 else -np.inf)


@given(st.lists(st.floats(-1, 1, width=32)))
def test_descending_turns_the_order_round(values):
    values = np.array(values, np.float32) + np.float32(0)
    keys = descending(values)
    assert ((values[:, None] > values) == (keys[:, None] < keys)).all()


@pytest.mark.parametrize("kernel", [None, pytest.param(variants.KERNEL, marks=variants.needs_kernel)])
def test_bounds_follow_from_what_was_seen_and_never_exclude_the_answer(rng, kernel):
    n, k, best = 60, 3, 20
    values = np.round(rng.uniform(-1, 1, (n, n)), 1).astype(np.float32) + np.float32(0)
    left, right = np.triu_indices(n, 1)
    order = rng.permutation(len(left))
    # So small a capacity that it selects after nearly every offer.
    candidates = Candidates(
        JoinSpec(n, n, True, k, k, max_pairs=best), capacity=n * k, tuning=DEFAULT_TUNING, kernel=kernel
    )
    for part in np.array_split(order, 30):
        candidates.offer(left[part], right[part], values[left[part], right[part]])
    found = [(score, i, j) for score, i, j in candidates.answer().pairs]
    listed = set()
    for i in range(n):
        mine = sorted((-values[min(i, j), max(i, j)], j) for j in range(n) if j != i)[:k]
        listed |= {(min(i, j), max(i, j)) for _, j in mine}
    expected = sorted((-float(values[i, j]), i, j) for i, j in listed)[:best]
    assert found == [(-s, i, j) for s, i, j in expected]


def test_a_threshold_between_two_float32_numbers_is_met_from_the_upper_one_on():
    min_score = Candidates(
        JoinSpec(2, 2, True, min_score=0.8), capacity=10, tuning=DEFAULT_TUNING
    ).bounds.min_score
    assert float(min_score) >= 0.8 > float(np.nextafter(min_score, np.float32(0)))


def test_more_qualifying_pairs_than_the_budget_holds_are_refused_with_advice():
    candidates = Candidates(JoinSpec(100, 100, True, min_score=0.5), capacity=10, tuning=DEFAULT_TUNING)
    left, right = np.triu_indices(20, 1)
    with pytest.raises(BudgetError, match=r"over 10 pairs qualify.*raise the threshold, set max_pairs"):
        candidates.offer(left, right, np.ones(len(left), np.float32))


def test_a_pair_under_both_its_rows_bounds_is_not_admitted():
    bounds = ScoreBounds(np.float32(0), np.array([0.5, 0.9], np.float32), np.array([0.7], np.float32))
    admitted = bounds.admit(
        np.array([0, 1, 1, 0]), np.array([0, 0, 0, 0]), np.array([0.6, 0.6, 0.7, -1], np.float32)
    )
    assert admitted.tolist() == [True, False, True, False]
