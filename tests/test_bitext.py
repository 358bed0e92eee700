import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import mine_bitext, neighbors, unit_rows
from lightmine.bitext import RETRIEVALS, retrieve
from lightmine.errors import ArgumentError
from lightmine.margin import MARGINS
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
