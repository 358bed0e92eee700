"""Matrix products in ONNX Runtime, one single-threaded session a worker.

ONNX Runtime releases the interpreter while it multiplies and, unlike NumPy's BLAS, leaves the number
of threads to us. Its uint8 x int8 product is 4 to 10 times as fast as its float32 product.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Raw = NDArray[np.float32] | NDArray[np.int32]

# The left operand of the int8 product is unsigned: this stands for zero.
ZERO_POINT = 128
# Largest quantized magnitudes to try. 63 keeps the sum of two neighboring products within int16, in
# which x86 without VNNI adds them: 2 * 191 * 63 < 2^15.
QMAX_CHOICES = (127, 63)


class Product:
    """One worker's session and buffer: every row of one matrix times every row of another."""

    def __init__(self, graph: bytes, out: type[np.generic], size: int) -> None:
        self._session = _session(graph)
        self._binding = self._session.io_binding()
        self._buffer = np.empty(size, out)

    def _run(self, a: NDArray[Any], b: NDArray[Any], columns: int) -> Raw:
        out = self._buffer[: len(a) * columns].reshape(len(a), columns)
        for name, side in (("a", a), ("b", b)):
            self._binding.bind_input(name, "cpu", 0, side.dtype.type, side.shape, side.ctypes.data)
        self._binding.bind_output("y", "cpu", 0, out.dtype.type, out.shape, out.ctypes.data)
        self._session.run_with_iobinding(self._binding)
        return out


class Fp32Product(Product):
    """a · bᵀ in float32, both C-contiguous with d columns; valid until the next call.

    Examples
    --------
    >>> product = Fp32Product(size=4)
    >>> product(np.eye(2, dtype=np.float32), np.array([[1, 2], [3, 4]], np.float32))
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """

    def __init__(self, *, size: int) -> None:
        super().__init__(gemm_graph(), np.float32, size)

    def __call__(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> Raw:
        """The product, of shape (len(a), len(b))."""
        return self._run(a, b, len(b))


class Int8Product(Product):
    """(a - 128) · b with a uint8 (m, d) and b int8 (d, n), exact in int32; valid until the next call.

    Examples
    --------
    >>> product = Int8Product(size=1)
    >>> product(np.array([[129, 126]], np.uint8), np.array([[5], [7]], np.int8))
    array([[-9]], dtype=int32)
    """

    def __init__(self, *, size: int) -> None:
        super().__init__(integer_graph(), np.int32, size)

    def __call__(self, a: NDArray[np.uint8], b: NDArray[np.int8]) -> Raw:
        """The product, of shape (len(a), b.shape[1])."""
        return self._run(a, b, b.shape[1])


@functools.cache
def safe_int8_qmax() -> int | None:
    """The largest magnitude at which this processor's int8 product is right; None where none is.

    It is used only after it agreed with integer arithmetic on the operands that saturate first: on x86
    without VNNI, pairs of products are added in int16, and 8-bit operands overflow it.
    """
    return next((qmax for qmax in QMAX_CHOICES if is_right(qmax)), None)


def is_right(qmax: int) -> bool:
    """Whether the int8 product is exact for operands of magnitude up to `qmax`."""
    rng = np.random.default_rng(0)
    for rows, columns, n_components in ((64, 128, 512), (3, 5, 7), (17, 33, 130), (1, 1, 1)):
        left = rng.choice([-qmax, qmax], (rows, n_components))
        right = rng.choice([-qmax, qmax], (n_components, columns))
        left[0], right[:, 0] = qmax, qmax
        left[-1], right[:, -1] = -qmax, qmax
        left[rows // 2] = rng.integers(-qmax, qmax + 1, n_components)
        product = Int8Product(size=rows * columns)
        found = product((left + ZERO_POINT).astype(np.uint8), right.astype(np.int8))
        if not np.array_equal(found, left @ right):
            return False
    return True


@functools.cache
def int8_speedup(n_components: int = 256) -> float:
    """How many times faster than the float32 product the int8 one is here, for one thread."""
    rng = np.random.default_rng(0)
    a, b = (
        rng.integers(0, 255, (256, n_components)).astype(np.uint8),
        rng.integers(-99, 99, (512, n_components)).astype(np.int8),
    )
    fast, slow = Int8Product(size=256 * 512), Fp32Product(size=256 * 512)
    bt, af, bf = np.ascontiguousarray(b.T), a.astype(np.float32), b.astype(np.float32)
    return least_seconds(lambda: slow(af, bf)) / least_seconds(lambda: fast(a, bt))


def least_seconds(work: Any, repeats: int = 3) -> float:
    """The least time of some runs, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return max(min(times), 1e-9)


def _session(graph: bytes) -> Any:
    """A single-threaded session that keeps no memory between runs."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


# Two ONNX models of one node each. A test reads them with `onnx`, which the package does not import.
DATA = Path(__file__).with_name("data")


@functools.cache
def gemm_graph() -> bytes:
    """An ONNX model of one Gemm node, y = a · bᵀ in float32."""
    return (DATA / "gemm.onnx").read_bytes()


@functools.cache
def integer_graph() -> bytes:
    """An ONNX model of one MatMulInteger node, y = (a - 128) · b in int32."""
    return (DATA / "matmul_integer.onnx").read_bytes()
