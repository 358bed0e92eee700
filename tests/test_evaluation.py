"""The evaluators, against cases worked by hand and against scikit-learn and SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, precision_recall_curve
from sklearn.neighbors import NearestNeighbors

from lightmine import evaluation as evaluate
from lightmine.errors import ArgumentError, MatrixError


def unit_rows(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# Retrieval


def test_retrieval_counts_each_direction_by_itself():
    source = [[1, 0], [0, 1], [0.6, 0.8]]
    target = [[0.8, 0.6], [0, 1], [1, 0]]
    # source 0 -> 2, 1 -> 1, 2 -> 0 (0.96 against 0.8 and 0.6); target 0 -> 2, 1 -> 1, 2 -> 0
    accuracy = evaluate.retrieval_accuracy(source, target)
    assert accuracy == evaluate.RetrievalAccuracy(1 / 3, 1 / 3)
    accuracy = evaluate.retrieval_accuracy(np.eye(2), [[1, 0], [0.8, 0.6]])
    assert (accuracy.source_to_target, accuracy.target_to_source, accuracy.mean) == (1.0, 0.5, 0.75)


def test_retrieval_of_a_constant_embedding_is_one_in_n():
    constant = np.ones((5, 3)) / math.sqrt(3)
    assert evaluate.retrieval_accuracy(constant, constant) == evaluate.RetrievalAccuracy(0.2, 0.2)


@pytest.mark.slow
def test_retrieval_agrees_with_scikit_learn_over_several_blocks():
    rng = np.random.default_rng(0)
    source = unit_rows(rng, 2500, 8)
    target = source + 0.15 * rng.standard_normal(source.shape)
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    accuracy = evaluate.retrieval_accuracy(source, target)
    for queries, others, got in (
        (source, target, accuracy.source_to_target),
        (target, source, accuracy.target_to_source),
    ):
        near = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(others).kneighbors(queries)[1]
        assert 0.1 < got < 0.99
        assert got == (near[:, 0] == np.arange(len(queries))).mean()


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (np.eye(2), np.eye(3), "source is (2, 2) and target (3, 3): give one row a translation"),
        (np.zeros((0, 4)), np.eye(4), "source has shape (0, 4): give a matrix of at least one row"),
        (np.eye(2), [1.0, 2.0], "target has shape (2,): give a matrix of at least one row"),
        (np.eye(2), [[1, 0], [0, np.nan]], "target row 1 holds a value that is not finite"),
    ],
)
def test_retrieval_refuses_what_it_cannot_compare(source, target, message):
    with pytest.raises(MatrixError) as error:
        evaluate.retrieval_accuracy(source, target)
    assert str(error.value) == message


# Similarity


def test_tied_values_share_the_mean_of_their_ranks():
    assert evaluate.average_ranks([10, 20, 10, 30, 10]).tolist() == [2, 4, 2, 5, 2]


def test_correlation_of_a_case_worked_by_hand():
    # ranks 1.5 1.5 3 4 against 1 2 3 4: covariance 4.5, variances 4.5 and 5
    got = evaluate.similarity_correlation([1, 1, 2, 3], [10, 20, 30, 40])
    assert got.spearman == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    # deviations -0.75 -0.75 0.25 1.25 against -15 -5 5 15: covariance 35, variances 2.75 and 500
    assert got.pearson == pytest.approx(35 / math.sqrt(2.75 * 500))


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=30))
def test_correlation_agrees_with_scipy(values):
    predicted, gold = np.array(values, float).T
    got = evaluate.similarity_correlation(predicted, gold)
    if np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        assert math.isnan(got.spearman)
        assert math.isnan(got.pearson)
        return
    assert got.spearman == pytest.approx(stats.spearmanr(predicted, gold).statistic, abs=1e-12)
    assert got.pearson == pytest.approx(stats.pearsonr(predicted, gold).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [
        ([1, 2], [1, 2, 3], "predicted has shape (2,) and gold (3,): give one value a pair in each"),
        ([], [], "a correlation needs at least two pairs, and there are 0"),
        ([1.0], [1.0], "a correlation needs at least two pairs, and there are 1"),
        ([1, 2], [1, math.inf], "gold[1] is not a finite number"),
    ],
)
def test_correlation_refuses_what_it_cannot_compare(predicted, gold, message):
    with pytest.raises(ArgumentError) as error:
        evaluate.similarity_correlation(predicted, gold)
    assert str(error.value) == message


# Bitext mining


def test_bitext_quality_of_a_case_worked_by_hand():
    # down the scores: right, wrong, right, wrong; three gold pairs; F1 2/4, 2/5, 4/6, 4/7
    quality = evaluate.bitext_mining(
        [0, 1, 2, 3], [0, 2, 2, 0], [0.9, 0.8, 0.7, 0.6], [(0, 0), (1, 1), (2, 2)]
    )
    assert (quality.precision, quality.recall, quality.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert quality.threshold == pytest.approx(0.65)
    assert quality.average_precision == pytest.approx((1 + 2 / 3) / 3)


def test_source_and_target_numbers_are_not_interchangeable():
    quality = evaluate.bitext_mining([0], [1], [1.0], [(1, 0)])
    assert quality == evaluate.MiningQuality(0.0, 0.0, 0.0, math.inf, 0.0)


def test_equal_scores_are_taken_together():
    # A right and a wrong pair at one score: no threshold parts them, in whatever order they come.
    for rows in ([0, 1], [1, 0]):
        left, right = np.array([0, 1])[rows], np.array([0, 5])[rows]
        quality = evaluate.bitext_mining(left, right, [0.5, 0.5], [(0, 0)])
        assert quality == evaluate.MiningQuality(0.5, 1.0, pytest.approx(2 / 3), 0.5, 0.5)


def test_of_two_thresholds_with_one_f1_the_higher_wins():
    # F1 after one, two, three pairs: 2/4, 2/5, then 4/6; after the sixth 6/9, the same as 4/6
    right = [0, 9, 1, 9, 9, 2]
    quality = evaluate.bitext_mining([0, 3, 1, 4, 5, 2], right, [6, 5, 4, 3, 2, 1], [(0, 0), (1, 1), (2, 2)])
    assert (quality.threshold, quality.f1) == (3.5, pytest.approx(2 / 3))


@st.composite
def mined(draw):
    pairs = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(5, 9)), unique=True, min_size=1))
    score = draw(st.lists(st.integers(0, 6), min_size=len(pairs), max_size=len(pairs)))
    gold = draw(st.lists(st.sampled_from(pairs), unique=True, min_size=1))
    return np.array(pairs), np.array(score) / 4, gold


@given(mined())
def test_mining_quality_agrees_with_scikit_learn(case):
    pairs, score, gold = case
    labels = [tuple(pair) in set(gold) for pair in pairs.tolist()]
    precision, recall, thresholds = precision_recall_curve(labels, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    for measure in (evaluate.bitext_mining, evaluate.paraphrase_mining):
        quality = measure(pairs[:, 0], pairs[:, 1], score, gold)
        assert quality.average_precision == pytest.approx(average_precision_score(labels, score))
        assert quality.f1 == pytest.approx(f1.max())
    quality = evaluate.bitext_mining(pairs[:, 0], pairs[:, 1], score, gold)
    at = np.searchsorted(thresholds, quality.threshold)
    assert (precision[at], recall[at]) == (pytest.approx(quality.precision), pytest.approx(quality.recall))


# Paraphrase mining


def reference_paraphrase(left, right, score, gold):
    """The loop of sentence-transformers' evaluator, written out plainly."""
    known = {frozenset(pair) for pair in gold}
    order = sorted(range(len(score)), key=lambda at: -score[at])
    taken = right_so_far = before = 0
    best = average = threshold = 0.0
    for place, at in enumerate(order):
        taken += 1
        right_so_far += frozenset((left[at], right[at])) in known
        if place + 1 < len(order) and score[order[place + 1]] == score[at]:
            continue
        if right_so_far > before:
            p, r = right_so_far / taken, right_so_far / len(known)
            average += p * (right_so_far - before)
            if 2 * p * r / (p + r) > best + 1e-12:
                best = 2 * p * r / (p + r)
                threshold = (score[at] + score[order[min(place + 1, len(order) - 1)]]) / 2
        before = right_so_far
    return average / len(known), best, threshold


@given(mined(), st.integers(0, 5))
def test_paraphrase_quality_is_that_of_sentence_transformers(case, missed):
    pairs, score, gold = case
    gold = [*gold, *((20 + more, 30) for more in range(missed))]
    quality = evaluate.paraphrase_mining(pairs[:, 1], pairs[:, 0], score, gold)
    average, best, threshold = reference_paraphrase(*pairs.T.tolist(), score.tolist(), gold)
    assert (quality.average_precision, quality.f1) == pytest.approx((average, best))
    assert quality.threshold == pytest.approx(threshold)


def test_paraphrase_gold_counts_once_in_either_order():
    once = evaluate.paraphrase_mining([0, 0], [1, 2], [0.9, 0.8], [(0, 1)])
    twice = evaluate.paraphrase_mining([1, 0], [0, 2], [0.9, 0.8], [(0, 1), (1, 0)])
    assert once == twice == evaluate.MiningQuality(1.0, 1.0, 1.0, pytest.approx(0.85), 1.0)


def test_nothing_mined_is_quality_zero():
    quality = evaluate.paraphrase_mining([], [], [], [(0, 1)])
    assert quality == evaluate.MiningQuality(0.0, 0.0, 0.0, math.inf, 0.0)


@pytest.mark.parametrize(
    ("left", "right", "score", "gold", "message"),
    [
        (
            [0, 1],
            [1],
            [0.5],
            [(0, 1)],
            "left, right and score have shapes [(2,), (1,), (1,)]: give one value a mined pair in each",
        ),
        ([0], [1], [0.5], [], "gold is empty: there is nothing to find"),
        ([0], [1], [0.5], [0, 1, 2], "gold has shape (3,): give two numbers a pair"),
        ([0], [1], [math.nan], [(0, 1)], "score[0] is not a number"),
        ([0, 0], [1, 1], [1, 2], [(0, 1)], "the pair (0, 1) was mined more than once: give each pair once"),
    ],
)
@pytest.mark.parametrize("measure", [evaluate.bitext_mining, evaluate.paraphrase_mining])
def test_mining_quality_refuses_what_it_cannot_judge(measure, left, right, score, gold, message):
    with pytest.raises(ArgumentError) as error:
        measure(left, right, score, gold)
    assert str(error.value) == message


def test_a_paraphrase_pair_mined_in_both_orders_is_refused():
    with pytest.raises(ArgumentError, match=r"the pair \(0, 1\) was mined more than once"):
        evaluate.paraphrase_mining([0, 1], [1, 0], [0.9, 0.8], [(0, 1)])


def test_a_correlation_is_the_same_in_whatever_order_the_pairs_come():
    rng = np.random.default_rng(2)
    x = rng.standard_normal(1000) * 10.0 ** rng.integers(-6, 6, 1000)
    y = x + rng.standard_normal(1000) * np.abs(x)
    orders = [rng.permutation(1000) for _ in range(20)]
    found = {evaluate.similarity_correlation(x[order], y[order]).pearson for order in orders}
    assert len(found) == 1
