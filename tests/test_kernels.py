import tomllib
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import unit_rows
from lightmine.engine import matmul, pool, quantization
from lightmine.engine.basis import basis, random_rotation, rotation_error
from lightmine.engine.bounds import Kernel, bound_stage, plain
from lightmine.engine.matrix import PairScorer
from lightmine.engine.quantization import compress_rows

KINDS = ["normal", "spike", "equal", "tiny", "opposite", "alternating", "duplicates", "low rank"]


def adversarial(kind, rng, n, d):
    """Rows that are hard to quantize, to sum or to rotate."""
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


def stage_of(x, y, qmax, n_components, columns):
    if n_components is None:
        return plain(x, y)
    orders = tuple(
        np.random.default_rng(len(x)).permutation(len(side)) for side in (x, x if y is None else y)
    )
    orders = orders if y is not None else (orders[0], orders[0])
    with pool.one_blas_thread:
        return bound_stage(
            *compress_rows(x, y, basis(x, y)[:n_components], qmax, orders, columns=columns, workers=1)
        )


def every_tile(one, n, m, rows, columns):
    scorer = Kernel([one], columns).scorer(rows * columns)
    for top in range(0, n, rows):
        for start in range(0, m, columns):
            tile = slice(top, min(top + rows, n)), slice(start, min(start + columns, m))
            yield *tile, scorer.scores(0, *tile).copy()


@pytest.mark.slow
@given(
    kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), d=st.sampled_from([1, 2, 7, 64, 384, 1000]),
    share=st.sampled_from([None, 0.2, 0.6, 1.0]), qmax=st.sampled_from([None, 127, 63]), two=st.booleans(),
)  # fmt: skip
def test_no_pair_scores_over_its_bound_and_no_threshold_rejects_one(kind, seed, d, share, qmax, two):
    rng = np.random.default_rng(seed)
    x = adversarial(kind, rng, 30, d)
    y = adversarial("normal", rng, 21, d) if two else None
    right = x if y is None else y
    one = stage_of(x, y, qmax, None if share is None else max(1, int(share * d)), columns=16)
    for rows, columns, raw in every_tile(one, len(x), len(right), 8, 16):
        i, j = np.meshgrid(
            one.left.rows(np.arange(len(x))[rows]),
            one.right.rows(np.arange(len(right))[columns]),
            indexing="ij",
        )
        true = PairScorer(x, right).exact(i.ravel(), j.ravel()).reshape(raw.shape)
        assert (one.upper_bound(raw) >= true.astype(np.float64)).all()
        # No limit that a pair reaches may reject it, whichever way the limit is given.
        assert (raw >= one.raw_threshold(true)).all()
        assert raw.max() >= one.raw_threshold(true.max())


def test_a_row_unlike_the_sample_makes_the_scale_larger_and_no_bound_wrong(rng):
    x = rng.standard_normal((5000, 64)) * 0.9 ** np.arange(64)
    # Not sampled (every fourth row is), and all in the component that the basis puts last.
    x[7] = np.eye(64)[63]
    x = unit_rows(x)
    left, right, params = compress_rows(
        x, None, basis(x, None)[:16], 127, (np.arange(5000), np.arange(5000)), columns=1000, workers=2
    )
    one = bound_stage(left, right, params)
    assert params == quantization.safe_params(params.vectors, 127) or params.max_residual >= 1
    for rows, columns, raw in every_tile(one, 5000, 2000, 500, 1000):
        assert (one.upper_bound(raw) >= x[rows] @ x[columns].T - 1e-6).all()


def test_a_row_a_little_unlike_the_sample_makes_the_scale_only_a_little_larger(rng):
    x = rng.standard_normal((5000, 64))
    x, order = unit_rows(x), np.arange(5000)
    vectors = np.eye(64, dtype=np.float32)
    smallest = quantization.choose_params(random_rotation(vectors), x[::4], 127)
    # Not sampled, and with components that the smallest scale would clip by too much for its error to fit.
    x[7] = smallest.vectors[0] * np.float32(0.8) + smallest.vectors[1] * np.float32(0.6)
    _, _, params = compress_rows(x, None, vectors, 127, (order, order), columns=1000, workers=2)
    assert smallest.scale < params.scale < quantization.safe_params(vectors, 127).scale


@pytest.mark.parametrize("qmax", [127, 63])
@pytest.mark.parametrize("n_components", [1, 3, 64, 384, 1024, 8192])
def test_safe_params_fit_every_unit_row(qmax, n_components):
    vectors = np.eye(n_components, n_components + 1, dtype=np.float32)
    params = quantization.safe_params(vectors, qmax)
    rows = np.concatenate(
        [
            np.eye(n_components + 1)[[0, n_components]],
            np.full((1, n_components + 1), (n_components + 1) ** -0.5),
        ]
    )
    others = np.random.default_rng(0).standard_normal((6, n_components + 1))
    rows = unit_rows(np.concatenate([rows, -rows, others]))
    out = np.empty((params.width, len(rows)), np.int8)
    assert quantization.RowQuantizer(params).fill(rows, out)


@pytest.mark.parametrize("qmax", [None, 127])
def test_bounds_are_tight_enough_to_reject(rng, qmax):
    x = unit_rows(rng.standard_normal((2000, 128)))
    one = stage_of(x, None, qmax, 128, columns=500)
    order = one.left.rows(np.arange(2000))
    for rows, columns, raw in every_tile(one, 2000, 500, 250, 500):
        loose = one.upper_bound(raw) - x[order[rows]] @ x[order[columns]].T
        assert np.median(loose) < (1e-3 if qmax is None else 0.025)


def test_limits_of_minus_infinity_reject_nothing(rng):
    x = unit_rows(rng.standard_normal((20, 8)))
    for qmax in (None, 127):
        one = stage_of(x, None, qmax, 8, columns=20)
        ((_, _, raw),) = every_tile(one, 20, 20, 20, 20)
        assert (raw >= one.raw_threshold(np.full(20, -np.inf, np.float32))).all()
        assert (raw >= one.raw_threshold(-np.inf)).all()


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), d=st.sampled_from([1, 7, 384, 1000]))
def test_rough_scores_are_within_their_slack(kind, seed, d):
    x = adversarial(kind, np.random.default_rng(seed), 30, d)
    left, right = np.divmod(np.arange(900), 30)
    scorer = PairScorer(x, x)
    difference = scorer.rough(left, right).astype(np.float64) - scorer.exact(left, right)
    assert np.abs(difference).max() <= scorer.slack


@given(seed=st.integers(0, 2**32), d=st.integers(1, 200))
def test_rotated_components_are_within_their_error(seed, d):
    rng = np.random.default_rng(seed)
    x = unit_rows(rng.standard_normal((40, d)))
    with pool.one_blas_thread:
        _check_rotation(x, rng)


def _check_rotation(x, rng):
    d = x.shape[1]
    p = int(rng.integers(1, d + 1))
    vectors = random_rotation(basis(x, None)[:p])
    rotated = x.astype(np.float64) @ vectors.astype(np.float64).T
    nearest = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)
    orthogonal = nearest[0] @ nearest[2]
    true = x.astype(np.float64) @ orthogonal.T
    assert np.linalg.norm(rotated - true, axis=1).max() <= rotation_error(d, p)
    assert np.linalg.norm((x @ vectors.T) - true, axis=1).max() <= rotation_error(d, p)


def test_a_product_that_saturates_is_found_out(monkeypatch):
    honest = matmul.Int8Product.__call__

    def saturating(self, a, b):
        """As x86 without VNNI does it: neighbouring products are added in int16, which overflows."""
        wide = a.astype(np.int64)
        out = np.zeros((len(a), b.shape[1]), np.int64)
        for k in range(0, a.shape[1], 2):
            out += np.clip(wide[:, k : k + 2] @ b[k : k + 2].astype(np.int64), -(2**15), 2**15 - 1)
        return (out - 128 * b.sum(axis=0, dtype=np.int64)).astype(np.int32)

    monkeypatch.setattr(matmul.Int8Product, "__call__", saturating)
    assert not matmul.is_right(127)
    assert matmul.is_right(63)
    monkeypatch.setattr(matmul.Int8Product, "__call__", lambda self, a, b: honest(self, a, b) + 1)
    assert not matmul.is_right(63)


def test_the_shipped_graphs_are_valid_onnx_models():
    onnx = pytest.importorskip("onnx")
    for graph, kind, inputs in (
        (matmul.gemm_graph(), "Gemm", ["a", "b"]),
        (matmul.integer_graph(), "MatMulInteger", ["a", "b", "zero"]),
    ):
        model = onnx.load_from_string(graph)
        onnx.checker.check_model(model, full_check=True)
        (node,) = model.graph.node
        assert (node.op_type, list(node.input), list(node.output)) == (kind, inputs, ["y"])


def test_the_wheel_includes_the_graphs():
    # The wheel includes the package whole: every file in it that git does not ignore.
    root = Path(__file__).parents[1]
    target = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert "lightmine" in target["packages"]
    assert not {"exclude", "include", "only-include"} & set(target)
    assert "onnx" not in (root / ".gitignore").read_text()
    files = sorted(path.relative_to(root).as_posix() for path in matmul.DATA.iterdir())
    assert files == ["lightmine/engine/data/gemm.onnx", "lightmine/engine/data/matmul_integer.onnx"]


def test_products_of_any_shape(rng):
    product, integers = matmul.Fp32Product(size=600), matmul.Int8Product(size=600)
    for rows, columns, n_components in ((20, 30, 16), (1, 1, 1), (7, 5, 33), (1, 600, 4)):
        a, b = rng.standard_normal((rows, n_components)), rng.standard_normal((columns, n_components))
        a, b = a.astype(np.float32), b.astype(np.float32)
        assert product(a, b) == pytest.approx(a @ b.T, abs=1e-4)
        qmax = matmul.safe_int8_qmax() or 0
        left, right = (
            rng.integers(-qmax, qmax + 1, (rows, n_components)),
            rng.integers(-qmax, qmax + 1, (n_components, columns)),
        )
        found = integers((left + matmul.ZERO_POINT).astype(np.uint8), right.astype(np.int8))
        assert qmax == 0 or (found == left @ right).all()
