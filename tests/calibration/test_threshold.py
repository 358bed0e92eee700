import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from lightmine import neighbors, unit_rows
from lightmine.bitext.presets import margin_spec
from lightmine.calibration.threshold import choose, curve_of
from lightmine.calibration.unlabelled import MORE_NEIGHBORS, PAIRS_A_SENTENCE, bitext_truth, paraphrase_truth
from lightmine.errors import ArgumentError
from lightmine.paraphrase import mine_paraphrases


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40), st.floats(0.05, 1))
def test_a_curve_is_that_of_scikit_learn_and_choosing_keeps_the_precision_at_the_lowest_threshold(
    pairs, wanted
):
    score, true = np.array(pairs, float).T / [[10], [1]]
    if not true.any():
        true[0] = 1
    curve = curve_of(score, true, gold=int(true.sum()))
    precision, recall, _ = precision_recall_curve(true, score)
    assert curve.precision[::-1] == pytest.approx(precision[:-1])
    assert curve.recall[::-1] == pytest.approx(recall[:-1])
    assert [int((score >= t).sum()) for t in curve.threshold] == curve.taken.tolist()
    reaching = curve.precision >= wanted
    if not reaching.any():
        with pytest.raises(ArgumentError, match="no threshold reaches a precision of"):
            choose(curve, precision=wanted)
        return
    chosen = choose(curve, precision=wanted)
    assert chosen.precision >= wanted
    assert chosen.taken == curve.taken[reaching].max()
    assert choose(curve).f1 == curve.f1.max()


def test_missed_gold_counts_and_a_thinned_curve_keeps_its_ends():
    curve = curve_of(np.arange(50.0), np.ones(50), gold=100)
    assert curve.recall[-1] == 0.5
    thin = curve.thinned(7)
    assert (len(thin), thin.threshold[0], thin.threshold[-1]) == (7, curve.threshold[0], curve.threshold[-1])


@pytest.mark.parametrize("precision", [0, -1, 1.1, float("nan")])
def test_a_precision_out_of_range_is_refused(precision):
    with pytest.raises(ArgumentError, match="a precision is over 0 and at most 1"):
        choose(curve_of([1.0], [1], gold=1), precision=precision)


def corpus(seed, n, m, translated, noise):
    """Sides of n and m rows, the first `translated` of them translations of each other."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 24)) + 0.6
    y = rng.standard_normal((m, 24)) + 0.6
    y[:translated] = x[:translated] + noise * rng.standard_normal((translated, 24))
    return unit_rows(x), unit_rows(y)


@pytest.mark.parametrize("options", [{}, {"k": 8}, {"margin": "distance"}, {"retrieval": "forward"},
                                     {"retrieval": "backward"}, {"retrieval": "intersect"},
                                     {"rank": "cosine"}, {"compat": "laser"}])  # fmt: skip
@pytest.mark.parametrize("translated", [900, 300])
def test_without_gold_the_threshold_gives_the_wanted_precision(options, translated):
    x, y = corpus(1, 1500, 1200, translated, 0.5)
    rule = margin_spec(**options)
    near = neighbors(x, y, k=rule.k + MORE_NEIGHBORS, both=True)
    found, truth = bitext_truth(near, rule)
    right = (found.left == found.right) & (found.left < translated)
    chosen = choose(curve_of(found.score, truth), precision=0.9)
    assert abs(right[found.score >= chosen.threshold].mean() - 0.9) < 0.1
    assert right[found.score >= chosen.threshold].sum() > 0.8 * translated


@pytest.mark.parametrize("retrieval", ["max", "forward", "intersect"])
def test_where_nothing_is_translated_no_threshold_is_good(retrieval):
    x, y = corpus(2, 800, 700, 0, 0)
    near = neighbors(x, y, k=4 + MORE_NEIGHBORS, both=True)
    found, truth = bitext_truth(near, margin_spec(retrieval=retrieval))
    with pytest.raises(ArgumentError, match="nothing tells the mined pairs from unrelated ones"):
        choose(curve_of(found.score, truth), precision=0.9)


def test_where_everything_is_translated_nearly_everything_is_taken():
    x, y = corpus(3, 600, 600, 600, 0.3)
    found, truth = bitext_truth(neighbors(x, y, k=4 + MORE_NEIGHBORS, both=True), margin_spec())
    assert choose(curve_of(found.score, truth), precision=0.9).taken > 580


def test_paraphrases_are_told_by_what_is_over_the_tail():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3000, 16))
    x[1000:1800] = x[:800] + rng.uniform(0.2, 0.5, (800, 1)) * rng.standard_normal((800, 16))
    pairs = mine_paraphrases(x, max_pairs=PAIRS_A_SENTENCE * 3000)
    right = (pairs.right == pairs.left + 1000) & (pairs.left < 800)
    chosen = choose(curve_of(pairs.score, paraphrase_truth(pairs.score, 3000)), precision=0.9)
    assert right[pairs.score >= chosen.threshold].mean() > 0.8
    assert chosen.taken > 600


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: paraphrase_truth(np.linspace(1, 0, 900).astype(np.float32), 150),
            "150 sentences are too few",
        ),
        (
            lambda: paraphrase_truth(np.linspace(1, 0, 9).astype(np.float32), 500),
            "9 pairs are too few to tell",
        ),
        (lambda: paraphrase_truth(np.ones(1000, np.float32), 500), "all score 1.00 or more"),
        (
            lambda: bitext_truth(neighbors(np.eye(9), np.eye(9), k=6, both=True), margin_spec()),
            "9 sentences are",
        ),
        (lambda: bitext_truth(near_300(4), margin_spec()), "k is 6 and there are only 4"),
        (lambda: bitext_truth(near_300(6), margin_spec(n_best=2)), "leave n_best and one_to_one out"),
        (lambda: curve_of([], []), "there is no curve to draw"),
    ],
)
def test_what_cannot_be_estimated_is_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def near_300(k):
    return neighbors(*corpus(5, 300, 300, 100, 0.5), k=k, both=True)
