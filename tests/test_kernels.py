import hypothesis.strategies as st
import numpy as np
import onnx
from hypothesis import given

from lightmine import unit_rows
from lightmine.engine.kernels import Fp32Kernel, gemm_graph
from lightmine.engine.matrix import exact_scores


def test_the_hand_written_graph_is_a_valid_onnx_model():
    model = onnx.load_from_string(gemm_graph())
    onnx.checker.check_model(model, full_check=True)
    (node,) = model.graph.node
    assert (node.op_type, list(node.input), list(node.output)) == ("Gemm", ["a", "b"], ["y"])
    assert [(a.name, a.i) for a in node.attribute] == [("transB", 1)]


rows = st.sampled_from(["normal", "spike", "equal", "tiny", "opposite", "alternating"])


def adversarial(kind, rng, n, d):
    x = rng.standard_normal((n, d))
    if kind == "spike":
        x *= 1e-6
        x[np.arange(n), rng.integers(0, d, n)] = 1
    elif kind == "equal":
        x[:] = 1
    elif kind == "tiny":
        x *= 10.0 ** rng.uniform(-38, 0, (n, d))
    elif kind == "opposite":
        x[1::2] = -x[: n // 2]
    elif kind == "alternating":
        x = np.where(np.arange(d) % 2, 1.0, -1.0) * (1 + 1e-3 * x)
    return unit_rows(x)


@given(kind=rows, seed=st.integers(0, 2**32), d=st.sampled_from([1, 2, 7, 64, 384, 1000]))
def test_fp32_scores_never_leave_their_bounds(kind, seed, d):
    x = adversarial(kind, np.random.default_rng(seed), 24, d)
    kernel = Fp32Kernel(x, x)
    raw = kernel.scorer(24, 24).scores(slice(0, 24), slice(0, 24))
    left, right = np.divmod(np.arange(24 * 24), 24)
    true = exact_scores(x, x, left, right).reshape(24, 24)
    assert (kernel.lower(raw) <= true).all()
    # No limit that a pair reaches may cut it.
    assert (raw >= kernel.cuts(true)).all()


def test_tiles_of_any_shape_are_scored(rng):
    x, y = unit_rows(rng.standard_normal((30, 16))), unit_rows(rng.standard_normal((50, 16)))
    scorer = Fp32Kernel(x, y).scorer(20, 20)
    for part, other in (
        (slice(0, 20), slice(0, 20)),
        (slice(29, 30), slice(45, 50)),
        (slice(3, 4), slice(0, 1)),
    ):
        assert np.allclose(scorer.scores(part, other), x[part] @ y[other].T, atol=1e-6)
