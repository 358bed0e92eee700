import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import unit_rows
from lightmine.engine.matrix import UNIT_TOLERANCE, PairScorer
from lightmine.errors import MatrixError


def test_unit_rows_returns_the_callers_matrix_where_it_is_ready(rng):
    x = unit_rows(rng.standard_normal((50, 8)))
    assert unit_rows(x) is x


def test_unit_rows_of_unit_rows_are_the_same(rng):
    x = rng.standard_normal((300, 16))
    x *= (1 + rng.uniform(-2e-6, 2e-6, 300) / 1)[:, None] / np.linalg.norm(x, axis=1, keepdims=True)
    for given_ in (x, x.astype(np.float32)):
        once = unit_rows(given_)
        assert unit_rows(once) is once


def test_a_memory_mapped_matrix_is_not_copied(rng, tmp_path):
    np.save(tmp_path / "x.npy", unit_rows(rng.standard_normal((50, 8))))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(unit_rows(mapped), mapped)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(1, 9)),
               elements=st.floats(-1e300, 1e300, allow_subnormal=True))
)  # fmt: skip
def test_every_finite_row_gets_norm_one_or_is_refused(x):
    if (x == 0).all(axis=1).any():
        with pytest.raises(MatrixError, match=r"row \d+ is all zero and has no direction"):
            unit_rows(x)
        return
    norms = np.linalg.norm(unit_rows(x).astype(np.float64), axis=1)
    assert np.abs(norms - 1).max() <= UNIT_TOLERANCE


def test_a_row_does_not_depend_on_the_rows_beside_it(rng):
    x = rng.standard_normal((300, 7)).astype(np.float32)
    alone = np.concatenate([unit_rows(row[None]) for row in x])
    assert (unit_rows(x) == alone).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_naming_the_row(rng, bad):
    x = rng.standard_normal((5000, 300))
    x[4321, 7] = bad
    with pytest.raises(MatrixError, match="vectors: row 4321 holds NaN or infinity"):
        unit_rows(x, name="vectors")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1.0, 2.0], r"a matrix of shape \(sentences, dimension\) is needed, not \(2,\)"),
        (np.empty((3, 0)), r"not \(3, 0\)"),
        ([["a"]], "text stands where vectors belong; encode first"),
        ([[1.0], [1.0, 2.0]], "the rows have different lengths"),
        ([[1j]], "real numbers are needed, not complex128"),
    ],
)
def test_what_is_not_a_matrix_of_numbers_is_refused(x, message):
    with pytest.raises(MatrixError, match=message):
        unit_rows(x)


def test_no_rows_is_a_matrix_too():
    assert unit_rows(np.empty((0, 4))).shape == (0, 4)


@pytest.mark.parametrize("dimension", [1, 3, 8, 129, 384, 1024])
def test_a_score_does_not_depend_on_the_pairs_scored_beside_it(rng, dimension):
    x = unit_rows(rng.standard_normal((40, dimension)))
    left, right = rng.integers(0, 40, (2, 5000))
    score = PairScorer(x, x).exact
    together = score(left, right)
    alone = np.concatenate([score(left[i : i + 1], right[i : i + 1]) for i in range(5000)])
    assert (together.view(np.int32) == alone.view(np.int32)).all()
    assert (together == score(right, left)).all()


def test_scores_are_the_true_products_rounded_once(rng):
    x = unit_rows(rng.standard_normal((30, 64)))
    left, right = np.divmod(np.arange(900), 30)
    wide = x.astype(np.longdouble)
    true = (wide[left] * wide[right]).sum(axis=1)
    assert (PairScorer(x, x).exact(left, right) == true.astype(np.float32)).mean() > 0.999
    assert np.abs(PairScorer(x, x).exact(left, right) - true).max() <= 2**-24
