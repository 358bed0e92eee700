"""The exact score: its order, its range, and the same bits whatever library multiplies."""

import hashlib
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from lightmine import mine_paraphrases, neighbors, unit_rows
from lightmine.engine.matrix import PairScorer
from lightmine.engine.tuning import Tuning
from lightmine.summation import sum_rows
from tests.oracle import dense, exact_score

DIMENSIONS = [1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 100, 127, 128, 320, 383, 384, 512, 1000, 1024, 1030]


def adversarial(rng, rows, dimension):
    """Coordinates of very different size and sign, so that the order of a sum shows."""
    sizes = 10.0 ** rng.uniform(-6, 0, (rows, dimension))
    return unit_rows(rng.standard_normal((rows, dimension)) * sizes)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_scores_are_those_of_the_documented_order_to_the_last_bit(rng, dimension):
    x = adversarial(rng, 12, dimension)
    left, right = np.divmod(np.arange(144), 12)
    found = PairScorer(x, x).exact(left, right)
    wanted = [exact_score(x[i], x[j]) for i, j in zip(left, right, strict=True)]
    assert found.tobytes() == np.array(wanted, np.float32).tobytes() == dense(x).ravel().tobytes()


def test_another_order_would_show(rng):
    wide = rng.standard_normal((2000, 384)) * 10.0 ** rng.uniform(-6, 0, (2000, 384))
    assert (sum_rows(wide) != wide[:, ::-1].sum(axis=1)).mean() > 0.3


def test_sums_do_not_depend_on_the_rows_beside_or_on_the_room(rng):
    wide = rng.standard_normal((50, 77))
    alone = np.concatenate([sum_rows(wide[row : row + 1]) for row in range(50)])
    assert (sum_rows(wide, np.full((60, 32), np.nan)) == alone).all()


def test_no_score_is_over_1_or_under_minus_1(rng):
    # Within what counts as unit rows, and is used as it is.
    x = unit_rows(rng.standard_normal((3000, 384))) * np.float32(1 + 3e-7)
    assert unit_rows(x) is x
    rows = np.arange(3000)
    wide = x.astype(np.float64)
    assert (sum_rows(wide * wide).astype(np.float32) > 1).any()
    same, opposite = PairScorer(x, x).exact(rows, rows), PairScorer(x, -x).exact(rows, rows)
    assert (same.max(), opposite.min()) == (1, -1)
    assert not np.isnan(np.arccos(same)).any()


@pytest.mark.parametrize("kernel", ["fp32", "int8"])
def test_ties_at_1_and_at_minus_1_keep_the_order_of_their_rows(rng, kernel):
    base = unit_rows(rng.standard_normal((30, 96)))
    x = np.concatenate([base, base, -base])
    found = mine_paraphrases(x, top_k=None, max_pairs=None, threshold=-1, kernel=kernel)
    assert len(found) == 90 * 89 // 2
    assert list(zip(found.left[:30], found.right[:30], strict=True)) == [(row, row + 30) for row in range(30)]
    lowest = found.score == -1
    assert lowest.sum() == 60
    pairs = list(zip(found.left[lowest], found.right[lowest], strict=True))
    assert pairs == sorted(pairs)
    opposite = neighbors(base, -np.repeat(base[:1], 5, axis=0), k=3, kernel=kernel)
    assert opposite.index[0].tolist() == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["fp32", "int8"])
@pytest.mark.parametrize("dimension", [1, 2, 3, 33, 384])
def test_rows_whose_norms_are_off_lose_no_neighbour_and_no_pair(rng, kernel, dimension):
    # As far from 1 as unit rows may be: equal and opposite rows have products on both sides of 1 and -1.
    base = unit_rows(rng.standard_normal((100, dimension)))
    x = np.concatenate([base, base, -base, unit_rows(rng.standard_normal((100, dimension)))])
    x = (x * (1 + rng.uniform(-9e-7, 9e-7, (400, 1)))).astype(np.float32)
    assert unit_rows(x) is x
    scores = dense(x)
    np.fill_diagonal(scores, -2)
    near = neighbors(x, k=5, kernel=kernel)
    assert (near.index == np.argsort(-scores, axis=1, kind="stable")[:, :5]).all()
    self_join = np.triu_indices(400, 1)
    for threshold in (-1.0, np.nextafter(1.0, 0.0), 1.0):
        found = mine_paraphrases(x, top_k=None, max_pairs=None, threshold=threshold, kernel=kernel)
        assert len(found) == (scores[self_join] >= threshold).sum() > 0
    found = mine_paraphrases(x, top_k=None, max_pairs=None, max_score=-1.0, kernel=kernel)
    assert len(found) == (scores[self_join] == -1).sum() > 0


def test_rows_of_one_coordinate_take_no_more_room_than_planned():
    x = unit_rows(np.ones((100_000, 1)))
    rows = np.arange(len(x))
    tracemalloc.start()
    try:
        PairScorer(x, x).exact(rows, rows)
        # What a worker is granted for scoring, beside the scores themselves and a copy of them.
        assert tracemalloc.get_traced_memory()[1] < 8 * Tuning().chunk_bytes + 12 * len(x)
    finally:
        tracemalloc.stop()


# Every score is within the rounding of float64 of a number halfway between two of float32, 0.5 and the next
# one up: 24929 / 2^15 * 673 / 2^10 = 0.5 + 2^-25, and the other products are about as small as what float64
# rounds off. So another order of additions gives other scores, and other pairs.
CODE = """
import hashlib
import numpy as np, lightmine
rng = np.random.default_rng(5)

def side(value, at):
    x = np.zeros((200, 100), np.float32)
    x[:, 1:98] = rng.choice([-1, 1], (200, 97)) * 2.0 ** rng.uniform(-28, -27, (200, 97))
    x[:, 0], x[:, at] = value, np.sqrt(1 - value**2)
    return x

x, y = side(24929 / 2**15, 98), side(673 / 2**10, 99)
found = lightmine.mine_paraphrases(x, y, top_k=8, max_pairs=900)
near = lightmine.neighbors(x, y, k=5, both=True)
data = [lightmine.unit_rows(x), found.left, found.right, found.score, near.index, near.score]
print(hashlib.sha256(b"".join(part.tobytes() for part in data)).hexdigest())
"""


@pytest.mark.slow
def test_every_kernel_of_openblas_gives_the_same_bytes():
    names = [None, "Prescott", "Nehalem", "Haswell", "SkylakeX"]
    found = {}
    for name in names:
        environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
        environment |= {"OPENBLAS_CORETYPE": name} if name else {}
        done = subprocess.run(
            [sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, check=False
        )
        # A kernel of instructions that this processor lacks ends the process.
        if done.returncode == 0:
            found[name] = done.stdout.strip()
    assert None in found
    assert len(found[None]) == len(hashlib.sha256().hexdigest())
    assert set(found.values()) == {found[None]}
