"""What caps leave out of an answer, against brute force."""

import numpy as np
import pytest

from lightmine import mine_paraphrases, unit_rows
from lightmine.engine import counting
from lightmine.engine.counting import left_out
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


def test_between_two_lists_too_and_for_pairs_that_were_cut_afterwards(rng):
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


def test_many_rows_are_estimated_from_some_the_same_each_time(rng, monkeypatch):
    x = near_copies(rng, 2000, 40)
    found = mine_paraphrases(x, threshold=0.8, max_pairs=500)
    options = dict(threshold=0.8, top_k=100, max_pairs=500)
    exact = left_out(found, x, **options)
    monkeypatch.setattr(counting, "EXACT", 2000 * 24 * 400)
    estimate = left_out(found, x, **options)
    assert exact.error == 0 < estimate.error
    assert abs(estimate.pairs - exact.pairs) <= 2 * estimate.error
    assert left_out(found, x, **options) == estimate


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
