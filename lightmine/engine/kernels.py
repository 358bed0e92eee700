"""Score kernels: a cheap score for every pair of a tile, with a bound on its error.

A kernel never decides what the answer is. It turns limits into cuts such that a raw score under its
cut proves the pair's true score to be under its limit; what is left is scored again by
`matrix.exact_scores`. The products run in ONNX Runtime, one single-threaded session a worker: it
releases the interpreter, and unlike NumPy's BLAS it leaves the number of threads to us.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightmine.engine.matrix import FloatMatrix

Scores = NDArray[np.float32]


class Kernel(Protocol):
    """Proposes pairs of rows of two matrices; shared by all workers.

    ``fixed_bytes`` and ``worker_bytes`` say what it holds once, and for each worker beside a tile.
    """

    fixed_bytes: int
    worker_bytes: int

    def scorer(self, rows: int, columns: int) -> Scorer:
        """What one worker needs for tiles of at most this shape; not to be shared."""

    def cuts(self, limits: Scores) -> Scores:
        """Raw scores under these prove true scores under `limits`."""

    def lower(self, raw: Scores) -> Scores:
        """True scores that these raw scores guarantee."""


class Scorer(Protocol):
    """One worker's hands: a session and a buffer."""

    def scores(self, rows: slice, columns: slice) -> Scores:
        """Raw scores of a tile, valid until the next call."""


class Fp32Kernel:
    """The float32 matrix product.

    With unit roundoff u = 2^-24 and d products, a float32 dot product in any order, fused or not,
    is within d·u/(1 - d·u) · Σ|xᵢyᵢ| of the true one (Higham 2002, Accuracy and Stability of
    Numerical Algorithms, section 3.1), and Σ|xᵢyᵢ| ≤ ‖x‖‖y‖ ≤ (1 + 1e-6)². The one score adds one
    rounding to float32 of its own. Underflow adds less than 1e-35.

    Examples
    --------
    >>> from lightmine.engine.matrix import unit_rows
    >>> x = unit_rows([[1, 0], [1, 1]])
    >>> kernel = Fp32Kernel(x, x)
    >>> kernel.scorer(2, 2).scores(slice(0, 2), slice(0, 2)).round(4)
    array([[1.    , 0.7071],
           [0.7071, 1.    ]], dtype=float32)
    """

    fixed_bytes = 0

    def __init__(self, x: FloatMatrix, y: FloatMatrix) -> None:
        self.x, self.y = x, y
        dimension = x.shape[1]
        # The runtime packs a panel of the right side; it never holds more than the tile's rows.
        self.worker_bytes = 4 * dimension * 2048
        error = dimension * 2.0**-24
        self.slack = error / (1 - error) * (1 + 3e-6) + 2.0**-23

    def scorer(self, rows: int, columns: int) -> Scorer:
        """See `Kernel`."""
        return _Fp32Scorer(self.x, self.y, rows * columns)

    def cuts(self, limits: Scores) -> Scores:
        """See `Kernel`."""
        return _down(limits.astype(np.float64) - self.slack)

    def lower(self, raw: Scores) -> Scores:
        """See `Kernel`."""
        return _down(raw.astype(np.float64) - self.slack)


class _Fp32Scorer:
    def __init__(self, x: FloatMatrix, y: FloatMatrix, size: int) -> None:
        self.x, self.y = x, y
        self.session = _session(gemm_graph())
        self.binding = self.session.io_binding()
        self.buffer = np.empty(size, np.float32)

    def scores(self, rows: slice, columns: slice) -> Scores:
        left, right = self.x[rows], self.y[columns]
        out = self.buffer[: len(left) * len(right)].reshape(len(left), len(right))
        for name, side in (("a", left), ("b", right)):
            self.binding.bind_input(name, "cpu", 0, np.float32, side.shape, side.ctypes.data)
        self.binding.bind_output("y", "cpu", 0, np.float32, out.shape, out.ctypes.data)
        self.session.run_with_iobinding(self.binding)
        return out


def _down(values: NDArray[np.float64]) -> Scores:
    """To float32, rounded towards minus infinity: a bound must not be rounded past what it bounds."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


def _session(graph: bytes) -> Any:
    """A single-threaded session that keeps no memory between runs."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def gemm_graph() -> bytes:
    """An ONNX model of one node, y = a·bᵀ in float32, written without the `onnx` package.

    The bytes are protocol-buffer fields of ModelProto (onnx.proto3), each number and its meaning
    named here; a test reads them back with `onnx`.
    """
    transpose = _message(5, _text(1, "transB") + _number(3, 1) + _number(20, 2))  # attribute, INT
    node = _message(1, _text(1, "a") + _text(1, "b") + _text(2, "y") + _text(4, "Gemm") + transpose)
    values = [_matrix(11, "a"), _matrix(11, "b"), _matrix(12, "y")]  # inputs, output
    graph = _message(7, node + _text(2, "product") + b"".join(values))
    return _number(1, 8) + graph + _message(8, _text(1, "") + _number(2, 17))  # IR version, opset


def _matrix(field: int, name: str) -> bytes:
    shape = b"".join(_message(1, _text(2, name + axis)) for axis in ("_rows", "_columns"))
    tensor = _message(1, _number(1, 1) + _message(2, shape))  # element type FLOAT, shape
    return _message(field, _text(1, name) + _message(2, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, payload: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
