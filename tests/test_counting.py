"""What caps leave out of an answer, against brute force."""

import numpy as np
import pytest

from lightmine import Pairs, mine_paraphrases, unit_rows
from lightmine.engine.counting import _left_out, count_pairs, left_out
from lightmine.engine.job import Job
from lightmine.engine.tuning import Tuning
from lightmine.errors import ArgumentError
from tests.oracle import dense


def near_copies(rng, rows, groups):
    """Rows in groups of near-copies of different size."""
    centres = rng.standard_normal((groups, 24))
    place = rng.integers(0, groups, rows) ** 2 // groups
    return unit_rows(centres[place] + 0.15 * rng.standard_normal((rows, 24)))


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("max_score", [None, 0.98])
@pytest.mark.parametrize(
    ("top_k", "max_pairs"), [(5, None), (5, 100), (None, 100), (3, 10_000), (400, 10**6)]
)
def test_pairs_left_out_are_those_of_brute_force(rng, threshold, max_score, top_k, max_pairs):
    x = near_copies(rng, 120, 12)
    options = dict(threshold=threshold, max_score=max_score, top_k=top_k, max_pairs=max_pairs)
    found = mine_paraphrases(x, **options)
    scores = dense(x)[np.triu_indices(120, 1)].astype(float)
    total = ((scores >= threshold) & (scores <= (max_score or 2))).sum()
    cut = left_out(found, x, **options)
    assert (0 if cut is None else cut.pairs) == total - len(found)
    if cut is not None:
        assert cut.error == 0
        assert cut.cap == ("max_pairs" if max_pairs and len(found) == max_pairs else "top_k")


def test_between_two_lists_too_and_for_pairs_that_were_selected_afterwards(rng):
    x, y = near_copies(rng, 60, 6), near_copies(rng, 80, 6)
    y = np.concatenate([y[:40], x[:40]])
    found = mine_paraphrases(x, y, top_k=4)
    found = found[found.score >= 0.9]
    cut = left_out(found, x, y, threshold=0.9, top_k=4, max_pairs=None)
    assert cut.pairs == (dense(x, y) >= 0.9).sum() - len(found)


def test_without_a_threshold_max_pairs_leaves_out_all_others_and_top_k_nothing(rng):
    x = near_copies(rng, 50, 5)
    found = mine_paraphrases(x, max_pairs=10)
    cut = left_out(found, x, threshold=None, top_k=100, max_pairs=10)
    assert (cut.cap, cut.pairs, cut.error) == ("max_pairs", 50 * 49 // 2 - 10, 0)
    found = mine_paraphrases(x, top_k=2)
    assert left_out(found, x, threshold=None, top_k=2, max_pairs=10_000) is None


def test_many_rows_are_estimated_from_some_the_same_each_time(rng):
    x = near_copies(rng, 2000, 40)
    found = mine_paraphrases(x, threshold=0.8, max_pairs=500)
    options = dict(threshold=0.8, top_k=100, max_pairs=500)
    exact = left_out(found, x, **options)
    job = Job(tuning=Tuning(count_products=2000 * 24 * 400))
    estimate = _left_out(found, x, **options, job=job)
    assert exact.error == 0 < estimate.error
    assert abs(estimate.pairs - exact.pairs) <= 2 * estimate.error
    assert _left_out(found, x, **options, job=job) == estimate


def test_no_cap_was_reached(rng):
    x = near_copies(rng, 30, 5)
    for options in (dict(top_k=100, max_pairs=10_000), dict(top_k=None, max_pairs=None)):
        found = mine_paraphrases(x, threshold=0.5, **options)
        assert left_out(found, x, threshold=0.5, **options) is None
    assert left_out(mine_paraphrases(x[:1]), x[:1], threshold=0.5, top_k=1, max_pairs=5) is None


def test_limits_at_the_ends_of_scores_leave_no_pair_uncounted(rng):
    # Norms as far off as unit rows may be: products are beyond -1 and 1, scores are not.
    angles = rng.uniform(0, 2 * np.pi, 150)
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = np.concatenate([x, -x]) * (1 + rng.choice([-9e-7, 9e-7], (300, 1)))
    x = np.ascontiguousarray(x, np.float32)
    scores = dense(x)[np.triu_indices(300, 1)].astype(float)
    for threshold, max_score in ((0.5, 1.0), (-1, None), (-1, 0.5), (-0.5, None)):
        found = mine_paraphrases(x, threshold=threshold, max_score=max_score, max_pairs=10)
        cut = left_out(found, x, threshold=threshold, max_score=max_score, top_k=100, max_pairs=10)
        assert cut.pairs == ((scores >= threshold) & (scores <= (max_score or 1))).sum() - 10


def test_count_pairs_is_that_of_brute_force_whatever_the_memory_and_the_threads(rng):
    x = near_copies(rng, 300, 12)
    y = unit_rows(x[:90] + 0.05 * rng.standard_normal((90, 24)))
    own, cross = dense(x)[np.triu_indices(300, 1)].astype(float), dense(x, y).astype(float)
    # Limits that are scores of pairs: whether those count is decided by the exact score.
    for threshold, max_score in ((float(own[7]), None), (0.9, float(cross.max())), (0.2, 0.9), (None, 0.5)):
        low, high = -2 if threshold is None else threshold, max_score or 2
        for how in ({}, {"memory_budget": 1, "threads": 3}, {"memory_budget": "16MiB", "threads": 2}):
            options = dict(threshold=threshold, max_score=max_score, **how)
            assert count_pairs(x, **options) == ((own >= low) & (own <= high)).sum()
            assert count_pairs(x, y, **options) == ((cross >= low) & (cross <= high)).sum()
    assert count_pairs(x, threshold=None) == 300 * 299 // 2
    assert count_pairs(x, y, threshold=-1) == 300 * 90
    assert count_pairs(x[:1], threshold=0.5) == 0


def test_count_pairs_refuses_a_limit_that_no_cosine_can_have(rng):
    x = near_copies(rng, 10, 2)
    with pytest.raises(ArgumentError, match="threshold is a cosine, from -1 to 1, not 80"):
        count_pairs(x, threshold=80)
    with pytest.raises(ArgumentError, match="max_score is a cosine, from -1 to 1, not nan"):
        count_pairs(x, threshold=0.5, max_score=float("nan"))


@pytest.mark.parametrize("start", [0, 1000, 2000, 3000, 4000, 5000])
def test_a_cap_that_few_rows_reach_is_not_missed_by_the_sample(rng, start):
    # One row in 300 has copies: a sample of 150 rows often meets none of them.
    x = rng.standard_normal((6000, 24))
    x[start : start + 20] = x[start]
    x = unit_rows(x)
    options = dict(threshold=0.95, top_k=100, max_pairs=100)
    found = mine_paraphrases(x, **options)
    exact = left_out(found, x, **options)
    job = Job(tuning=Tuning(count_products=6000 * 24 * 150))
    estimate = _left_out(found, x, **options, job=job)
    assert (exact.pairs, exact.error) == (90, 0)
    assert 0 < estimate.error < 2 * exact.pairs
    assert abs(estimate.pairs - exact.pairs) <= estimate.error


def test_a_sample_of_two_lists_agrees_with_the_count(rng):
    x = near_copies(rng, 3000, 40)
    y = unit_rows(x[:500] + 0.05 * rng.standard_normal((500, 24)))
    options = dict(threshold=0.8, top_k=100, max_pairs=500)
    found = mine_paraphrases(x, y, **options)
    exact = left_out(found, x, y, **options)
    job = Job(tuning=Tuning(count_products=500 * 24 * 400))
    estimate = _left_out(found, x, y, **options, job=job)
    assert exact.pairs == count_pairs(x, y, threshold=0.8) - 500
    assert exact.error == 0 < estimate.error < exact.pairs
    assert abs(estimate.pairs - exact.pairs) <= 2 * estimate.error


def test_a_sample_that_meets_no_pair_has_an_error_all_the_same(rng):
    x = unit_rows(rng.standard_normal((3000, 24)))
    found = mine_paraphrases(x, threshold=0.7, max_pairs=3)
    assert found.limited_by == ("max_pairs",)
    job = Job(tuning=Tuning(count_products=1))
    cut = _left_out(found, x, threshold=0.7, top_k=100, max_pairs=3, job=job)
    assert cut.pairs > 0 < cut.error
    assert abs(cut.pairs - (count_pairs(x, threshold=0.7) - 3)) <= 2 * cut.error


@pytest.mark.slow
@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("max_score", [None, 0.98])
def test_limited_by_names_the_caps_that_left_pairs_out(rng, two, threshold, max_score):
    x = near_copies(rng, 80, 8)
    y = unit_rows(x[20:] + 0.05 * rng.standard_normal((60, 24)))
    sides = (x, y) if two else (x,)
    limits = dict(threshold=threshold, max_score=max_score)
    every = mine_paraphrases(*sides, top_k=None, max_pairs=None, **limits)
    assert every.limited_by == ()
    for top_k in (1, 3, 8, 20, 400):
        listed = mine_paraphrases(*sides, top_k=top_k, max_pairs=None, **limits)
        cut = threshold is not None and len(listed) < len(every)
        assert listed.limited_by == (("top_k",) if cut else ())
        for max_pairs in (1, len(listed) // 2, len(listed) - 1, len(listed), len(listed) + 1):
            found = mine_paraphrases(*sides, top_k=top_k, max_pairs=max_pairs, **limits)
            assert found == listed[:max_pairs]
            assert ("max_pairs" in found.limited_by) == (max_pairs < len(listed))
            if max_pairs < len(listed):
                # Of the pairs over the last one: is any of all that qualify not listed?
                last = found.score[-1]
                cut = threshold is not None and (every.score > last).sum() > (found.score > last).sum()
            assert ("top_k" in found.limited_by) == cut


def test_limited_by_stays_with_a_part_and_is_no_column(rng):
    x = near_copies(rng, 60, 4)
    found = mine_paraphrases(x, top_k=2, max_pairs=20, threshold=0.8)
    assert found.limited_by == ("top_k", "max_pairs")
    for part in (found[:5], found[found.score > 0.9], found[[0, 3]]):
        assert part.limited_by == found.limited_by
    assert set(found.to_dict()) == {"left", "right", "score"}
    assert found == Pairs(found.left, found.right, found.score)


def test_many_rows_with_full_lists_and_no_pair_left_out_are_no_cap(rng):
    # Groups of just top_k + 1 copies: every list is full, and holds all there is.
    x = unit_rows(np.repeat(rng.standard_normal((40, 24)), 5, axis=0))
    assert mine_paraphrases(x, top_k=4, threshold=0.95).limited_by == ()
    assert mine_paraphrases(x, top_k=3, threshold=0.95).limited_by == ("top_k",)


def test_a_job_that_is_resumed_knows_its_caps_too(rng, tmp_path):
    x = near_copies(rng, 60, 4)
    options = dict(top_k=2, max_pairs=20, threshold=0.8, resume=str(tmp_path / "job"))
    first, again = mine_paraphrases(x, **options), mine_paraphrases(x, **options)
    assert again == first
    assert again.limited_by == first.limited_by == ("top_k", "max_pairs")
    with pytest.raises(ArgumentError, match="max_pairs"):
        mine_paraphrases(x, **options | {"max_pairs": 21})
