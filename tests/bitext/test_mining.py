import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import mine_bitext, neighbors, retrieve, score_bitext, unit_rows
from lightmine.bitext.margin import MARGINS
from lightmine.bitext.presets import RETRIEVALS
from lightmine.errors import ArgumentError, MissingExtraError
from tests.oracle import dense, nearest
from tests.test_neighbors import collection, seeds


def reference(x, y, k, margin, retrieval, threshold):
    """Artetxe and Schwenk 2019, section 4.3, one pair at a time."""
    cosine = dense(x, y).astype(np.float64)
    forward, backward = nearest(dense(x, y), k), nearest(dense(x, y).T, k)

    def score(i, j):
        a = cosine[i, j]
        b = (np.mean([cosine[i, n] for n in forward[i]]) + np.mean([cosine[n, j] for n in backward[j]])) / 2
        values = {"ratio": a / max(b, 1e-6), "distance": a - b, "absolute": a}
        return float(np.float32(values[margin]))

    best_of_source = [max((score(i, j), -j) for j in forward[i]) for i in range(len(x))]
    best_of_target = [max((score(i, j), -i) for i in backward[j]) for j in range(len(y))]
    ahead = {(s, i, -j) for i, (s, j) in enumerate(best_of_source)}
    back = {(s, -i, j) for j, (s, i) in enumerate(best_of_target)}
    pairs = {"forward": ahead, "backward": back, "intersect": ahead & back, "max": ahead | back}[retrieval]
    pairs = sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))
    if retrieval == "max":
        used, chosen = set(), []
        for s, i, j in pairs:
            if ("x", i) not in used and ("y", j) not in used:
                used |= {("x", i), ("y", j)}
                chosen.append((s, i, j))
        pairs = chosen
    return [pair for pair in pairs if threshold is None or pair[0] >= threshold]


@given(
    seed=seeds, n=st.integers(1, 25), m=st.integers(1, 25), k=st.integers(1, 6), d=st.integers(1, 5),
    margin=st.sampled_from(MARGINS), retrieval=st.sampled_from(RETRIEVALS),
    threshold=st.none() | st.floats(-1, 2),
)  # fmt: skip
def test_mining_is_that_of_the_paper(seed, n, m, k, d, margin, retrieval, threshold):
    rng = np.random.default_rng(seed)
    x, y = unit_rows(rng.standard_normal((n, d))), unit_rows(rng.standard_normal((m, d)))
    options = dict(k=k, margin=margin, retrieval=retrieval, threshold=threshold)
    found, expected = list(mine_bitext(x, y, **options)), reference(x, y, **options)
    scale = max([1.0, *(abs(s) for s, _, _ in expected)])
    assert [s for s, _, _ in found] == pytest.approx([s for s, _, _ in expected], abs=1e-6 * scale)
    if len({round(s / scale, 5) for s, _, _ in expected}) == len(expected):
        assert [pair[1:] for pair in found] == [pair[1:] for pair in expected]


def test_the_best_candidate_is_the_best_margin_not_the_nearest():
    # The hub (target 1) is near to everything; source 0 is a little nearer to it than to its own translation.
    source = unit_rows([[1, 0.2, 0], [0.1, 1, 0.5], [0.2, 0.3, 1]])
    target = unit_rows([[1, -0.3, -0.1], [1, 1, 1]])
    near = neighbors(source, target, k=2, both=True)
    absolute = retrieve(near, margin="absolute", retrieval="forward")
    ratio = retrieve(near, margin="ratio", retrieval="forward")
    assert absolute.right[absolute.left == 0].tolist() == [0]
    assert near.index[1, 0] == near.index[2, 0] == 1
    assert ratio.right[ratio.left == 0].tolist() == [0]


@given(seed=seeds, n=st.integers(1, 30), retrieval=st.sampled_from(["intersect", "max"]))
def test_one_to_one_retrievals_use_each_sentence_once(seed, n, retrieval):
    x, y = collection(seed, n, 4), collection(seed + 1, n + 2, 4)
    found = mine_bitext(x, y, k=3, retrieval=retrieval)
    assert len(set(found.left.tolist())) == len(set(found.right.tolist())) == len(found)


def test_forward_pairs_every_source_and_backward_every_target(rng):
    x, y = rng.standard_normal((20, 6)), rng.standard_normal((30, 6))
    assert sorted(mine_bitext(x, y, retrieval="forward").left.tolist()) == list(range(20))
    assert sorted(mine_bitext(x, y, retrieval="backward").right.tolist()) == list(range(30))


@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_the_threshold_acts_in_every_retrieval(rng, retrieval):
    x, y = rng.standard_normal((30, 6)), rng.standard_normal((30, 6))
    everything = mine_bitext(x, y, retrieval=retrieval)
    threshold = float(np.median(everything.score))
    found = mine_bitext(x, y, retrieval=retrieval, threshold=threshold)
    assert list(found) == [pair for pair in everything if pair[0] >= threshold]
    assert 0 < len(found) < len(everything)


@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_an_empty_side_has_no_translations(retrieval):
    assert len(mine_bitext(np.empty((0, 3)), np.eye(3), retrieval=retrieval)) == 0
    assert len(mine_bitext(np.eye(3), np.empty((0, 3)), retrieval=retrieval)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(margin="cosine"), "margin must be one of ratio, distance, absolute, not 'cosine'"),
        (dict(retrieval="both"), "retrieval must be one of forward, backward, intersect, max, not 'both'"),
        (dict(rank="best"), "rank must be one of margin, cosine, not 'best'"),
        (dict(one_to_one="yes"), "one_to_one must be one of auto, none, greedy, optimal, not 'yes'"),
        (dict(compat="moses"), "compat must be one of lightmine, laser, stopes, sentence-transformers"),
        (dict(k_backward=0), "k_backward must be a whole number of at least 1, not 0"),
        (dict(n_best=1.5), "n_best must be a whole number of at least 1, not 1.5"),
        (dict(max_score="low"), "max_score must be a number, not 'low'"),
        (dict(k=0), "k must be a whole number of at least 1, not 0"),
        (dict(threshold=float("nan")), "threshold must be a number"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        mine_bitext(np.eye(3), np.eye(3), **options)


def test_neighbours_of_one_direction_do_not_suffice():
    with pytest.raises(ArgumentError, match=r"call neighbors\(..., both=True\)"):
        retrieve(neighbors(np.eye(3), np.eye(3), k=2))


@given(
    seed=seeds, n=st.integers(1, 7), m=st.integers(1, 7), retrieval=st.sampled_from(RETRIEVALS),
    n_best=st.integers(1, 3), threshold=st.none() | st.floats(0.8, 1.2),
)  # fmt: skip
def test_an_optimal_choice_has_the_largest_sum_of_all_choices(seed, n, m, retrieval, n_best, threshold):
    x, y = collection(seed, n, 4), collection(seed + 1, m, 4)
    options = dict(k=3, retrieval=retrieval, n_best=n_best, threshold=threshold)
    near = neighbors(x, y, k=3, both=True)
    proposed = list(retrieve(near, one_to_one="none", **options))
    chosen = list(retrieve(near, one_to_one="optimal", **options))
    assert set(chosen) <= set(proposed)
    assert len({i for _, i, _ in chosen}) == len({j for _, _, j in chosen}) == len(chosen)
    assert sum(s for s, _, _ in chosen) == pytest.approx(largest_sum(proposed), rel=1e-6)
    greedy = list(retrieve(near, one_to_one="greedy", **options))
    assert sum(s for s, _, _ in greedy) <= sum(s for s, _, _ in chosen) + 1e-4 * len(proposed)


def largest_sum(pairs):
    """By trying every choice; pairs of nothing and less may stay out."""
    if not pairs:
        return 0.0
    (score, i, j), rest = pairs[0], pairs[1:]
    without = largest_sum(rest)
    return (
        max(without, score + largest_sum([p for p in rest if p[1] != i and p[2] != j]))
        if score > 0
        else without
    )


def test_an_optimal_choice_names_the_extra_where_scipy_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(MissingExtraError, match=r"choose greedy, or install it: pip install 'scipy>=1.13'"):
        mine_bitext(np.eye(3), np.eye(3), one_to_one="optimal")


@pytest.mark.parametrize("retrieval", ["forward", "backward"])
def test_one_to_one_is_to_be_had_in_every_retrieval(rng, retrieval):
    x, y = rng.standard_normal((40, 4)), rng.standard_normal((30, 4))
    many, once = (mine_bitext(x, y, retrieval=retrieval, one_to_one=way) for way in ("none", "greedy"))
    assert len(set(once.left.tolist())) == len(set(once.right.tolist())) == len(once) < len(many)
    assert set(once) <= set(many)


def test_each_sentence_proposes_its_n_best(rng):
    x, y = rng.standard_normal((20, 6)), rng.standard_normal((30, 6))
    three = mine_bitext(x, y, k=5, retrieval="forward", n_best=3)
    assert np.bincount(three.left).tolist() == [3] * 20
    cosine, score = dense(unit_rows(x), unit_rows(y)).astype(float), {(i, j): s for s, i, j in three}
    mean_x, mean_y = (np.sort(c, axis=1)[:, -5:].mean(axis=1) for c in (cosine, cosine.T))
    for i, near in enumerate(nearest(cosine, 5)):
        best = sorted(near, key=lambda j: -cosine[i, j] / ((mean_x[i] + mean_y[j]) / 2))[:3]
        assert sorted(best) == sorted(j for a, j in score if a == i)


def test_each_direction_counts_neighbours_of_its_own(rng):
    x, y = rng.standard_normal((20, 6)), rng.standard_normal((30, 6))
    cosine = dense(unit_rows(x), unit_rows(y)).astype(float)
    mean_x = np.sort(cosine, axis=1)[:, -2:].mean(axis=1)
    mean_y = np.sort(cosine.T, axis=1)[:, -7:].mean(axis=1)
    found = mine_bitext(x, y, k=2, k_backward=7, margin="distance", one_to_one="none")
    expected = cosine[found.left, found.right] - (mean_x[found.left] + mean_y[found.right]) / 2
    assert found.score == pytest.approx(expected, abs=1e-6)
    near = neighbors(x, y, k=7, both=True)
    assert list(retrieve(near, k=2, k_backward=7, margin="distance", one_to_one="none")) == list(found)


def test_the_upper_threshold_leaves_out_near_copies_and_their_sentences(rng):
    x = unit_rows(rng.standard_normal((30, 6)))
    y = unit_rows(np.concatenate([x[:5], rng.standard_normal((25, 6))]))
    everything = mine_bitext(x, y)
    found = mine_bitext(x, y, max_score=float(everything.score[5]))
    assert list(found) == list(everything)[5:]


def test_an_aligned_corpus_is_scored_pair_by_pair(rng):
    x, y = rng.standard_normal((20, 6)), rng.standard_normal((20, 6))
    scored = score_bitext(x, y, k=3)
    assert scored.left.tolist() == scored.right.tolist() == list(range(20))
    mined = {(i, j): (s, c) for (s, i, j), c in _with_cosine(mine_bitext(x, y, k=3, one_to_one="none"))}
    shared = [
        (i, (s, c))
        for i, (s, c) in enumerate(zip(scored.score, scored.cosine, strict=True))
        if (i, i) in mined
    ]
    assert shared
    assert all(mined[i, i] == pytest.approx(values) for i, values in shared)
    some = score_bitext(x, y, [(3, 3), (0, 5), (3, 3)], k=3)
    assert (some.left.tolist(), some.right.tolist()) == ([3, 0, 3], [3, 5, 3])
    assert some.score[0] == some.score[2] == scored.score[3]


def _with_cosine(found):
    return zip(found, found.cosine.tolist(), strict=True)


@pytest.mark.parametrize(
    ("y", "pairs", "message"),
    [
        (np.eye(4)[:3], None, "as many sentences on either side, not 4 and 3"),
        (np.eye(4), [(0, 4)], "a row number is outside 0 to 3"),
        (np.eye(4), [0, 1], "give two row numbers a pair"),
        (np.eye(4), [(0.5, 1)], "give two row numbers a pair"),
    ],
)
def test_pairs_that_cannot_be_scored_are_refused(y, pairs, message):
    with pytest.raises(ArgumentError, match=message):
        score_bitext(np.eye(4), y, pairs)
