"""The compat modes, by hand and beside independent references; docs/guides/bitext.md has the differences."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import mine_bitext, neighbors, retrieve, unit_rows
from lightmine.bitext.presets import PRESET_SPECS
from lightmine.errors import ArgumentError
from lightmine.search import Neighbors
from tests import peers
from tests.test_neighbors import seeds


def near_of(cosines, k):
    """Neighbours of a hand-made matrix of cosines, which need not be anybody's."""
    cosines = np.array(cosines, np.float32)

    def side(matrix):
        index = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
        return index, np.take_along_axis(matrix, index, axis=1)

    return Neighbors(*side(cosines), reverse=Neighbors(*side(cosines.T)))


# Source 0 is nearest to target 0, a hub that is near to everybody; its own translation is target 1.
# Means of the two nearest: sources .85 .75 .80, targets .85 .70 .75.
HUB = [[0.9, 0.8, 0.3],
       [0.8, 0.1, 0.7],
       [0.8, 0.6, 0.8]]  # fmt: skip


def pairs(found):
    return sorted((int(i), int(j)) for _, i, j in found)


def test_the_best_candidate_is_the_best_margin_but_for_stopes_the_nearest():
    near = near_of(HUB, 2)
    # Ratios of source 0: target 0 .9 / ((.85 + .85) / 2) = 1.0588, target 1 .8 / ((.85 + .70) / 2) = 1.0323.
    # Of source 1: target 0 .8 / ((.75 + .85) / 2) = 1, target 2 .7 / ((.75 + .75) / 2) = 0.9333.
    # Of source 2: target 0 .8 / ((.80 + .85) / 2) = 0.9697, target 2 .8 / ((.80 + .75) / 2) = 1.0323.
    options = dict(k=2, retrieval="forward", threshold=-9)
    ours = retrieve(near, **options)
    assert pairs(ours) == [(0, 0), (1, 0), (2, 2)]
    assert ours.score.tolist() == pytest.approx([0.9 / 0.85, 0.8 / 0.775, 1.0], abs=1e-6)
    stopes = retrieve(near, compat="stopes", **options)
    assert pairs(stopes) == [(0, 0), (1, 0), (2, 0)]
    assert stopes.score.tolist() == pytest.approx([0.9 / 0.85, 1.0, 0.8 / 0.825], abs=1e-6)
    assert pairs(retrieve(near, compat="stopes", rank="margin", **options)) == pairs(ours)


def test_stopes_doubles_cosines_which_ratios_cancel_and_the_other_margins_show():
    near = near_of(HUB, 2)
    for margin, factor in (("ratio", 1), ("distance", 2), ("absolute", 2)):
        options = dict(k=2, margin=margin, retrieval="forward", rank="cosine", threshold=-9, max_score=9)
        ours, theirs = retrieve(near, **options), retrieve(near, compat="stopes", **options)
        assert theirs.score == pytest.approx(factor * ours.score, abs=1e-6)
        assert theirs.cosine.tolist() == ours.cosine.tolist()


def test_where_the_threshold_acts():
    near = near_of([[0.75, 0.25], [0.25, 0.25]], 1)
    # One neighbour each: a mutual best pair has ratio 1 exactly, (1, 0) has 0.25 / ((0.25 + 0.75) / 2) = 0.5.
    for retrieval, everything in (("forward", [(0, 0), (1, 0)]), ("intersect", [(0, 0)]), ("max", [(0, 0)])):
        options = dict(k=1, retrieval=retrieval, threshold=1.0)
        assert pairs(retrieve(near, **options)) == [(0, 0)]
        # LASER looks at it in max alone, and there asks for more than the threshold.
        assert pairs(retrieve(near, compat="laser", **options)) == ([] if retrieval == "max" else everything)
    assert pairs(retrieve(near, compat="sentence-transformers", k=1)) == [(0, 0)]
    assert pairs(retrieve(near, compat="stopes", k=1, threshold=1.0)) == [(0, 0)]


def test_default_thresholds_and_the_upper_one_of_stopes():
    # Both sources keep to their own: ratios 2a / (a + ...) with one neighbour are 1; with two, over 1.25.
    near = near_of([[0.9, 0.1], [0.1, 0.6]], 2)
    everything = retrieve(near)
    assert everything.score.tolist() == pytest.approx([0.9 / 0.5, 0.6 / 0.35], abs=1e-6)
    assert len(retrieve(near, compat="stopes", k=2)) == 0
    assert len(retrieve(near, compat="stopes", k=2, max_score=1.75)) == 1
    defaults = {name: (rule.k, rule.threshold, rule.max_score) for name, rule in PRESET_SPECS.items()}
    assert defaults == {
        "lightmine": (4, None, None), "laser": (4, 0.0, None), "stopes": (16, 1.06, 1.25),
        "sentence-transformers": (4, 1.0, None),
    }  # fmt: skip


def test_stopes_lets_a_sentence_stand_in_several_pairs_and_the_others_in_max_do_not():
    near = near_of([[0.9, 0.2], [0.8, 0.1]], 2)
    options = dict(k=2, threshold=-9, max_score=9)
    assert pairs(retrieve(near, compat="stopes", **options)) == [(0, 0), (0, 1), (1, 0)]
    for name in ("lightmine", "laser", "sentence-transformers"):
        found = retrieve(near, compat=name, **options)
        assert len(set(found.left)) == len(set(found.right)) == len(found)


def test_negative_averages_divide_as_the_peer_does():
    near = near_of([[-0.2, -0.4], [-0.4, -0.2]], 2)
    assert retrieve(near, compat="laser", retrieval="forward").score.tolist() == pytest.approx([4 / 3, 4 / 3])
    assert (retrieve(near, retrieval="forward").score < -1e5).all()


@pytest.mark.parametrize(
    ("compat", "retrieval", "there"),
    [("stopes", "intersect", "forward, backward, max"), ("sentence-transformers", "forward", "only max")],
)
def test_a_retrieval_that_the_peer_has_not_is_refused(compat, retrieval, there):
    with pytest.raises(ArgumentError, match=f"{compat} has no retrieval '{retrieval}'.*{there}"):
        mine_bitext(np.eye(3), np.eye(3), compat=compat, retrieval=retrieval)


def planted(seed, n, m, d):
    """Some translations, some noise, a hub."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) + 0.5
    y = np.concatenate([x[: m // 2] + 0.4 * rng.standard_normal((min(n, m // 2), d)),
                        rng.standard_normal((m - min(n, m // 2), d)) + 0.5])  # fmt: skip
    return unit_rows(x), unit_rows(y)


def same(ours, theirs):
    expected = {(i, j): score for score, i, j in theirs}
    found = {(i, j): score for score, i, j in ours}
    assert found.keys() == expected.keys()
    for pair, score in expected.items():
        # A ratio's error is its numerator's over its denominator, in float32.
        assert abs(found[pair] - score) <= 1e-6 * max(1.0, score**2)


@given(seed=seeds, n=st.integers(2, 40), m=st.integers(2, 40), k=st.integers(1, 6),
       margin=st.sampled_from(["ratio", "distance", "absolute"]),
       retrieval=st.sampled_from(["forward", "backward", "intersect", "max"]))  # fmt: skip
def test_laser_mode_is_laser(seed, n, m, k, margin, retrieval):
    x, y = planted(seed, n, m, 6)
    options = dict(k=k, margin=margin, retrieval=retrieval)
    theirs = peers.laser(x, y, **options)
    if well_apart(theirs):
        same(mine_bitext(x, y, compat="laser", **options), theirs)


@given(seed=seeds, n=st.integers(2, 40), m=st.integers(2, 40), k=st.integers(1, 20),
       margin=st.sampled_from(["ratio", "distance", "absolute"]), n_best=st.integers(1, 3),
       retrieval=st.sampled_from(["forward", "backward", "max"]),
       rank=st.sampled_from(["cosine", "margin"]))  # fmt: skip
def test_stopes_mode_is_stopes(seed, n, m, k, margin, n_best, retrieval, rank):
    x, y = planted(seed, n, m, 6)
    options = dict(k=k, margin=margin, retrieval=retrieval, n_best=n_best, rank=rank, threshold=0.9)
    theirs = peers.stopes(x, y, score_max=1.3, **options)
    if well_apart(theirs, 0.9, 1.3):
        same(mine_bitext(x, y, compat="stopes", max_score=1.3, **options), theirs)


@given(seed=seeds, n=st.integers(2, 40), m=st.integers(2, 40), k=st.integers(1, 6))
def test_sentence_transformers_mode_is_its_example(seed, n, m, k):
    x, y = planted(seed, n, m, 6)
    theirs = peers.sentence_transformers(x, y, k=k)
    if well_apart(theirs, 1.0):
        same(mine_bitext(x, y, compat="sentence-transformers", k=k), theirs)


def well_apart(found, *limits):
    """Whether no rounding can decide: float32 products differ in the last place, huge margins by more."""
    values = [score for score, _, _ in found]
    near = any(abs(value - limit) < 1e-5 for value in values for limit in limits)
    return not near and max(map(abs, values), default=0) < 3


def test_options_replace_those_of_the_preset(rng):
    x, y = planted(3, 60, 60, 8)
    assert pairs(mine_bitext(x, y, compat="laser", threshold=1.1)) == pairs(peers.laser(x, y, threshold=1.1))
    near = neighbors(x, y, k=4, both=True)
    with pytest.raises(ArgumentError, match="k is 16 and there are only 4 neighbours"):
        retrieve(near, compat="stopes")
