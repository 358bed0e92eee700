import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import unit_rows
from lightmine.engine import products, twins
from lightmine.engine.kernels import Kernel
from lightmine.engine.matrix import exact_scores, rough_scores
from lightmine.engine.twins import basis, itself, make_twins

KINDS = ["normal", "spike", "equal", "tiny", "opposite", "alternating", "duplicates", "low rank"]


def adversarial(kind, rng, n, d):
    """Rows that quantise, sum or turn badly."""
    x = rng.standard_normal((n, d))
    if kind == "spike":
        x *= 1e-6
        x[np.arange(n), rng.integers(0, d, n)] = 1
    elif kind == "equal":
        x[:] = 1
    elif kind == "tiny":
        x *= 10.0 ** rng.uniform(-45, 0, (n, d))
        x[:, 0] += 1e-30
    elif kind == "opposite":
        x[1::2] = -x[: n // 2]
    elif kind == "alternating":
        x = np.where(np.arange(d) % 2, 1.0, -1.0) * (1 + 1e-3 * x)
    elif kind == "duplicates":
        x[:] = x[rng.integers(0, 3, n)]
    elif kind == "low rank":
        x = x[:, :1] * rng.standard_normal(d) + 1e-3 * x
    return unit_rows(x)


def kernel_of(x, y, levels, depth, columns):
    if depth is None:
        return Kernel(itself(x), itself(x if y is None else y), unit=1.0, depth=x.shape[1], columns=columns)
    vectors = basis(x, y)[:depth]
    made, unit = make_twins(x, y, vectors, levels, columns=columns, workers=1)
    return Kernel(*made, unit=unit, depth=depth, columns=columns)


def every_tile(kernel, n, m, rows, columns):
    scorer = kernel.scorer(rows * columns)
    for top in range(0, n, rows):
        for start in range(0, m, columns):
            tile = slice(top, min(top + rows, n)), slice(start, min(start + columns, m))
            yield *tile, scorer.scores(*tile).copy()


@given(
    kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), d=st.sampled_from([1, 2, 7, 64, 384, 1000]),
    share=st.sampled_from([None, 0.2, 0.6, 1.0]), levels=st.sampled_from([None, 127, 63]), two=st.booleans(),
)  # fmt: skip
def test_scores_never_leave_their_bounds_and_cuts_lose_no_pair(kind, seed, d, share, levels, two):
    rng = np.random.default_rng(seed)
    x = adversarial(kind, rng, 30, d)
    y = adversarial("normal", rng, 21, d) if two else None
    right = x if y is None else y
    depth = None if share is None else max(1, int(share * d))
    kernel = kernel_of(x, y, levels, depth, columns=16)
    for rows, columns, raw in every_tile(kernel, len(x), len(right), 8, 16):
        sides = (side.rows(np.arange(len(side.error)))[part]
                 for side, part in ((kernel.left, rows), (kernel.right, columns)))  # fmt: skip
        i, j = np.meshgrid(*sides, indexing="ij")
        true = exact_scores(x, right, i.ravel(), j.ravel()).reshape(raw.shape)
        error = np.abs(raw * kernel.unit - true.astype(np.float64))
        assert error.max() <= kernel.slack(rows, columns)
        # No limit that a pair reaches may cut it, whichever way the limit is given.
        most = true.max(axis=1)
        assert (raw >= kernel.row_cuts(most, rows, columns))[true == most[:, None]].all()
        most = true.max(axis=0)
        assert (raw >= kernel.column_cuts(most, rows, columns))[true == most].all()
        assert raw.max() >= kernel.floor_cut(float(true.max()), rows, columns)


@pytest.mark.parametrize("levels", [None, 127])
def test_bounds_are_tight_enough_to_reject(rng, levels):
    x = unit_rows(rng.standard_normal((2000, 128)))
    kernel = kernel_of(x, None, levels, 128, columns=500)
    assert kernel.slack(slice(0, 250), slice(500, 1000)) < (1e-3 if levels is None else 0.03)


def test_a_row_that_quantises_badly_spoils_only_the_last_tile(rng):
    x = rng.standard_normal((4000, 64))
    x[7] = np.eye(64)[3]
    kernel = kernel_of(unit_rows(x), None, 127, 64, columns=1000)
    clipped = np.flatnonzero(kernel.left.error > 0.03)
    assert (clipped >= 3000).all()


def test_limits_of_minus_infinity_cut_nothing(rng):
    x = unit_rows(rng.standard_normal((20, 8)))
    for levels in (None, 127):
        kernel = kernel_of(x, None, levels, 8, columns=20)
        ((rows, columns, raw),) = every_tile(kernel, 20, 20, 20, 20)
        nothing = np.full(20, -np.inf, np.float32)
        assert (raw >= kernel.row_cuts(nothing, rows, columns)).all()
        assert (raw >= kernel.floor_cut(-np.inf, rows, columns)).all()


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), d=st.sampled_from([1, 7, 384, 1000]))
def test_rough_scores_are_within_their_slack(kind, seed, d):
    x = adversarial(kind, np.random.default_rng(seed), 30, d)
    left, right = np.divmod(np.arange(900), 30)
    scores, slack = rough_scores(x, x, left, right)
    assert np.abs(scores.astype(np.float64) - exact_scores(x, x, left, right)).max() <= slack


@given(seed=st.integers(0, 2**32), d=st.integers(1, 200))
def test_turned_coordinates_are_within_their_error(seed, d):
    rng = np.random.default_rng(seed)
    x = unit_rows(rng.standard_normal((40, d)))
    p = int(rng.integers(1, d + 1))
    vectors = twins.mixed(basis(x, None)[:p])
    turned = x.astype(np.float64) @ vectors.astype(np.float64).T
    nearest = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)
    orthogonal = nearest[0] @ nearest[2]
    true = x.astype(np.float64) @ orthogonal.T
    assert np.linalg.norm(turned - true, axis=1).max() <= twins.turn_error(d, p)
    assert np.linalg.norm((x @ vectors.T) - true, axis=1).max() <= twins.turn_error(d, p)


def test_a_product_that_saturates_is_found_out(monkeypatch):
    honest = products.Int8Product.__call__

    def saturating(self, a, b):
        """As x86 without VNNI does it: neighbouring products are added in int16, which overflows."""
        wide = a.astype(np.int64)
        out = np.zeros((len(a), b.shape[1]), np.int64)
        for k in range(0, a.shape[1], 2):
            out += np.clip(wide[:, k : k + 2] @ b[k : k + 2].astype(np.int64), -(2**15), 2**15 - 1)
        return (out - 128 * b.sum(axis=0, dtype=np.int64)).astype(np.int32)

    monkeypatch.setattr(products.Int8Product, "__call__", saturating)
    assert not products.is_right(127)
    assert products.is_right(63)
    monkeypatch.setattr(products.Int8Product, "__call__", lambda self, a, b: honest(self, a, b) + 1)
    assert not products.is_right(63)


def test_the_hand_written_graphs_are_valid_onnx_models():
    onnx = pytest.importorskip("onnx")
    for graph, kind, inputs in (
        (products.gemm_graph(), "Gemm", ["a", "b"]),
        (products.integer_graph(), "MatMulInteger", ["a", "b", "zero"]),
    ):
        model = onnx.load_from_string(graph)
        onnx.checker.check_model(model, full_check=True)
        (node,) = model.graph.node
        assert (node.op_type, list(node.input), list(node.output)) == (kind, inputs, ["y"])


def test_products_of_any_shape(rng):
    product, integers = products.Fp32Product(size=600), products.Int8Product(size=600)
    for rows, columns, depth in ((20, 30, 16), (1, 1, 1), (7, 5, 33), (1, 600, 4)):
        a, b = rng.standard_normal((rows, depth)), rng.standard_normal((columns, depth))
        a, b = a.astype(np.float32), b.astype(np.float32)
        assert product(a, b) == pytest.approx(a @ b.T, abs=1e-4)
        levels = products.proven_levels() or 0
        left, right = (
            rng.integers(-levels, levels + 1, (rows, depth)),
            rng.integers(-levels, levels + 1, (depth, columns)),
        )
        found = integers((left + products.ZERO_POINT).astype(np.uint8), right.astype(np.int8))
        assert levels == 0 or (found == left @ right).all()
