"""No pair scores over the bound that its compressed rows give, whatever the rows are."""

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from lightmine import unit_rows
from lightmine.engine import pool
from lightmine.engine.matrix import ROUNDING, PairScorer, score_error
from lightmine.engine.quantization import (
    MIN_SCALE,
    NOWHERE,
    QuantizationParams,
    basis,
    choose_params,
    compress_rows,
    random_rotation,
    rotation_error,
)
from lightmine.engine.tuning import Tuning
from tests import variants
from tests.oracle import dense
from tests.rows import KINDS, adversarial
from tests.variants import VARIANTS

FEW_AT_ONCE = dataclasses.replace(Tuning(), compressed_at_once=16)


def components(compressed):
    """The int8 components of every place, a row each."""
    panels = compressed.panels
    return panels.transpose(0, 2, 1, 3).reshape(len(compressed.errors), -1)


def upper_bounds(left, right):
    """What the kernel takes for the most that each pair can score."""
    products = components(left).astype(np.int64) @ components(right).T.astype(np.int64)
    sums = products + left.errors[:, None].astype(np.int64) + right.errors
    return left.params.unit * sums + ROUNDING


def compress(x, params, name, tuning=FEW_AT_ONCE):
    with pool.one_blas_thread:
        return compress_rows(x, params, variants.kernel(name), workers=2, tuning=tuning)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
@settings(max_examples=30)
@given(
    kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), other=st.sampled_from(KINDS),
    d=st.sampled_from([1, 2, 7, 31, 32, 33, 63, 64, 65, 384, 1000, 1100]), rotate=st.booleans(),
    share=st.sampled_from([None, 0.2, 0.6]), sampled=st.sampled_from([1, 3, 30]),
)  # fmt: skip
def test_no_pair_scores_over_its_bound(name, kind, seed, other, d, rotate, share, sampled):
    rng = np.random.default_rng(seed)
    x, y = adversarial(kind, rng, 30, d), adversarial(other, rng, 21, d)
    p = None if share is None else max(1, int(share * d))
    qmax = variants.kernel(name).qmax
    # The scale and the basis are chosen by few rows, unlike the others or not.
    params = choose_params(x[:sampled], qmax, p, rotate=rotate, tuning=FEW_AT_ONCE)
    left, right = (compress(side, params, name) for side in (x, y))
    for one, other_side, rows, columns in ((left, right, x, y), (left, left, x, x)):
        bounds = upper_bounds(one, other_side)[: len(rows), : len(columns)]
        true = rows.astype(np.float64) @ columns.astype(np.float64).T
        assert (bounds >= true - 1e-15).all()
        assert (bounds >= dense(rows, columns)).all()


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_compress_alike_and_leave_the_other_places_empty(name, rng):
    x = unit_rows(rng.standard_normal((37, 70)))
    params = choose_params(x, 63, rotate=False, tuning=FEW_AT_ONCE)
    found, other = compress(x, params, name), compress(x, params, "portable")
    q = components(found)
    nearest = np.rint(np.clip(x / np.float32(params.scale), -63, 63))
    # The product with the inverse may round to the other side of a half.
    assert (np.abs(q[:37, :70] - nearest) <= 1).all()
    assert ((q[:37, :70] != nearest).mean()) < 0.01
    assert not q[37:].any()
    assert not q[:, 70:].any()
    assert (found.sums == q.sum(axis=1, dtype=np.int64)).all()
    assert (found.errors[37:] == NOWHERE).all()
    assert found.rows.tolist() == [*range(37), *[0] * 27]
    # Multiplying and adding at once may round an error bound up once more.
    assert (q == components(other)).all()
    assert np.abs(found.errors.astype(np.int64) - other.errors).max() <= 1


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("p", [None, 64])
def test_a_row_unlike_the_sample_has_a_larger_error_and_no_wrong_bound(rng, name, p):
    x = rng.standard_normal((500, 128)) * 0.9 ** np.arange(128)
    # Each all in the component that the basis puts last, or first.
    x[7], x[8] = np.eye(128)[127], np.eye(128)[0]
    x = unit_rows(x)
    params = choose_params(x[20:], variants.kernel(name).qmax, p, tuning=FEW_AT_ONCE)
    one = compress(x, params, name)
    assert (upper_bounds(one, one)[:500, :500] >= dense(x)).all()
    assert one.errors[7] > (0 if p is None else 2) * np.median(one.errors[:500])


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("p", "most"), [(None, 0.035), (64, 0.06)])
def test_bounds_are_tight_enough_to_reject(rng, name, p, most):
    x = unit_rows(rng.standard_normal((600, 128)) * 0.96 ** np.arange(128))
    params = choose_params(x, 63, p, tuning=FEW_AT_ONCE)
    one = compress(x, params, name)
    assert np.median(upper_bounds(one, one)[:600, :600] - dense(x)) < most


@pytest.mark.parametrize("name", VARIANTS)
def test_components_of_very_long_rows_are_no_smaller_than_their_sums_allow(name):
    d = 140_000
    flat = np.full((2, d), d**-0.5, np.float32)
    # A quarter of the coordinates, twice as large: half of them is cut off by a scale that suits the others.
    x = np.concatenate([flat, flat, np.eye(1, d, dtype=np.float32)])
    x[2:4] *= 2 * (np.arange(d) % 4 == 0)
    x = unit_rows(x)
    params = choose_params(flat, variants.kernel(name).qmax, rotate=False, tuning=Tuning())
    assert params.scale >= MIN_SCALE
    one = compress(x, params, name)
    bounds = upper_bounds(one, one)
    assert (bounds[:5, :5] >= x.astype(np.float64) @ x.T.astype(np.float64)).all()
    assert one.errors.max() < 1 << 29
    assert np.abs(bounds[:5, :5] / params.unit).max() < 1 << 31


def test_rows_in_one_scale_are_rotated_only_if_it_helps(rng):
    flat, uneven = rng.standard_normal((2, 600, 64))
    uneven *= 0.8 ** np.arange(64)
    assert choose_params(unit_rows(flat), 63, tuning=FEW_AT_ONCE).vectors is None
    assert choose_params(unit_rows(uneven), 63, tuning=FEW_AT_ONCE).vectors.shape == (64, 64)
    assert choose_params(unit_rows(uneven), 63, rotate=False, tuning=FEW_AT_ONCE).vectors is None
    params = choose_params(unit_rows(uneven), 63, 16, tuning=FEW_AT_ONCE)
    assert (params.n_components, params.width) == (16, 64)
    assert params.rotation_error > 0 == QuantizationParams(None, 64, 1.0, 63).rotation_error


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), d=st.sampled_from([1, 7, 384, 1000]))
def test_float32_products_are_within_their_slack(kind, seed, d):
    x = adversarial(kind, np.random.default_rng(seed), 30, d)
    left, right = np.divmod(np.arange(900), 30)
    exact = PairScorer(x, x).exact(left, right).astype(np.float64)
    for products in (x @ x.T, np.add.accumulate(x[:, None] * x[None], axis=2)[:, :, -1]):
        difference = np.clip(products.ravel().astype(np.float64), -1, 1) - exact
        assert np.abs(difference).max() <= score_error(d)


@given(seed=st.integers(0, 2**32), d=st.integers(1, 200))
def test_rotated_components_are_within_their_error(seed, d):
    rng = np.random.default_rng(seed)
    x = unit_rows(rng.standard_normal((40, d)))
    with pool.one_blas_thread:
        _check_rotation(x, rng)


def _check_rotation(x, rng):
    d = x.shape[1]
    p = int(rng.integers(1, d + 1))
    vectors = random_rotation(basis(x)[:p])
    rotated = x.astype(np.float64) @ vectors.astype(np.float64).T
    nearest = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)
    orthogonal = nearest[0] @ nearest[2]
    true = x.astype(np.float64) @ orthogonal.T
    assert np.linalg.norm(rotated - true, axis=1).max() <= rotation_error(d, p)
    assert np.linalg.norm((x @ vectors.T) - true, axis=1).max() <= rotation_error(d, p)
