import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import mine_paraphrases, unit_rows
from lightmine.errors import ArgumentError, BudgetError
from tests.oracle import dense, nearest, paraphrases
from tests.test_neighbors import collection, seeds


@given(
    seed=seeds, n=st.integers(0, 60), d=st.integers(1, 6), top_k=st.none() | st.integers(1, 70),
    max_pairs=st.none() | st.integers(1, 300), threshold=st.sampled_from([None, -1, 0, 0.3, 0.8, 1.0]),
)  # fmt: skip
def test_pairs_are_those_of_brute_force(seed, n, d, top_k, max_pairs, threshold):
    x = collection(seed, n, d)
    options = dict(top_k=top_k, max_pairs=max_pairs, threshold=threshold)
    assert list(mine_paraphrases(x, threads=2, **options)) == paraphrases(x, **options)


@pytest.mark.parametrize(("top_k", "max_pairs"), [(100, 500), (3, 500), (10, 100_000)])
@pytest.mark.torch
def test_pairs_are_those_of_sentence_transformers(rng, top_k, max_pairs):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    centres = rng.standard_normal((40, 32))
    x = unit_rows(centres[rng.integers(0, 40, 700)] + 0.4 * rng.standard_normal((700, 32)))
    theirs = sentence_transformers.util.paraphrase_mining_embeddings(
        x, top_k=top_k, max_pairs=max_pairs, query_chunk_size=100, corpus_chunk_size=150
    )
    ours = mine_paraphrases(x, top_k=top_k, max_pairs=max_pairs)
    assert len(ours) == len(theirs)
    assert np.allclose(ours.score, [score for score, _, _ in theirs], atol=1e-6)
    # Scores a rounding apart may change places; the pairs are the same but at the last place.
    missing = {(i, j) for _, i, j in theirs} - set(zip(ours.left.tolist(), ours.right.tolist(), strict=True))
    assert all(abs(score - ours.score[-1]) < 1e-6 for score, i, j in theirs if (i, j) in missing)


def test_the_threshold_is_inclusive():
    x = unit_rows([[1, 0], [3, 4]])
    score = float(mine_paraphrases(x).score[0])
    assert len(mine_paraphrases(x, threshold=score)) == 1
    assert len(mine_paraphrases(x, threshold=math.nextafter(score, 2))) == 0


def between(x, y, *, top_k, max_pairs, threshold, max_score=None):
    """(score, left, right) of the pairs of two lists that one end lists, in the one order."""
    scores = dense(x, y)
    k = max(len(x), len(y)) if top_k is None else top_k
    pairs = {(i, j) for i, others in enumerate(nearest(scores, k, max_score=max_score)) for j in others}
    pairs |= {(i, j) for j, others in enumerate(nearest(scores.T, k, max_score=max_score)) for i in others}
    found = sorted((-float(scores[i, j]), i, j) for i, j in pairs)
    return [(-s, i, j) for s, i, j in found if threshold is None or -s >= threshold][:max_pairs]


@given(
    seed=seeds, n=st.integers(0, 30), m=st.integers(0, 40), d=st.integers(1, 5),
    top_k=st.none() | st.integers(1, 45), max_pairs=st.none() | st.integers(1, 300),
    threshold=st.sampled_from([None, 0, 0.3, 0.8]), max_score=st.sampled_from([None, 0.5, 0.9, 0.99]),
)  # fmt: skip
def test_pairs_between_two_lists_are_those_of_brute_force(
    seed, n, m, d, top_k, max_pairs, threshold, max_score
):
    x, y = collection(seed, n, d), collection(seed + 1, m, d)
    options = dict(top_k=top_k, max_pairs=max_pairs, threshold=threshold, max_score=max_score)
    assert list(mine_paraphrases(x, y, threads=2, **options)) == between(x, y, **options)


@given(seed=seeds, top_k=st.none() | st.integers(1, 10), max_pairs=st.none() | st.integers(1, 60))
def test_near_copies_are_left_out_and_take_no_place(seed, top_k, max_pairs):
    x = collection(seed, 30, 4)
    options = dict(top_k=top_k, max_pairs=max_pairs, max_score=0.9)
    assert list(mine_paraphrases(x, **options)) == paraphrases(x, **options)


def test_counts_of_numpy_are_counts_and_no_threshold_may_be_minus_infinity():
    x = np.eye(3) + 0.1
    assert len(mine_paraphrases(x, top_k=np.int8(1), max_pairs=np.int16(20_000))) == 2
    assert len(mine_paraphrases(x, threshold=-math.inf)) == 3


def test_one_sentence_and_none_have_no_pairs():
    assert len(mine_paraphrases(np.ones((1, 3)))) == len(mine_paraphrases(np.empty((0, 3)))) == 0


def test_results_are_int64_and_float32_and_iterate_as_plain_numbers():
    pairs = mine_paraphrases(np.eye(3))
    assert (pairs.left.dtype, pairs.right.dtype, pairs.score.dtype) == (np.int64, np.int64, np.float32)
    assert [tuple(map(type, pair)) for pair in pairs] == [(float, int, int)] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(top_k=0), "top_k must be a whole number of at least 1, not 0"),
        (dict(max_pairs=-5), "max_pairs must be a whole number of at least 1, not -5"),
        (dict(threshold=float("nan")), "threshold must be a number, not nan"),
        (dict(threshold="high"), "threshold must be a number, not 'high'"),
        (dict(threshold=80), "threshold is a cosine, from -1 to 1, not 80; 0.8 perhaps"),
        (dict(threshold=10**400), "threshold is a cosine, from -1 to 1, not 1e\\+300"),
        (dict(threshold=-1.5), "threshold is a cosine, from -1 to 1, not -1.5"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        mine_paraphrases(np.eye(3), **options)


def test_an_answer_that_has_no_bound_and_does_not_fit_is_refused(rng):
    x = rng.standard_normal((3000, 4))
    with pytest.raises(BudgetError, match="raise the threshold, set max_pairs, or raise memory_budget"):
        mine_paraphrases(x, top_k=None, max_pairs=None, memory_budget="24MiB")
