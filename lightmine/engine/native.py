"""The compiled kernel (native/kernel.c): its variant for this processor, and calls that check their arrays.

Calls release the interpreter. A variant is trusted only after it agreed with integer arithmetic on the
operands that overflow first. Without a library, or where no variant is right, the NumPy engine does the
same work.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lightmine.engine.quantization import CompressedRows

# In the order of kernel.c's enum. The portable one is for tests: NumPy's float32 product is faster.
VARIANTS = ("portable", "avx2", "avx-vnni", "avx512-vnni", "amx", "neon-dotprod")
BEST_FIRST = ("amx", "avx512-vnni", "avx-vnni", "avx2", "neon-dotprod")
# The largest component that a variant multiplies rightly. AVX2 adds two products in int16: 2 * 127 * 63 <
# 2^15.
QMAX = {"avx2": 63}
# Sizes of kernel.c: rows of a panel, left rows of a tile; what components are padded to.
PANEL, BLOCK, WIDTH = 16, 32, 64
LOCKS = 1024
ABI_VERSION = 1
NAME = {"win32": "kernel.dll", "darwin": "kernel.dylib"}.get(sys.platform, "kernel.so")
LIBRARY = Path(__file__).with_name(NAME)


class Join(ctypes.Structure):
    """The struct of the same name in kernel.c."""

    _fields_ = [
        *[(name, ctypes.c_void_p) for name in (
            "left_panels", "right_panels", "left_errors", "right_errors", "right_sums", "x", "y",
            "left_rows", "right_rows", "left_bounds", "right_bounds", "min_score", "left_best",
            "right_best", "left_counts", "right_counts", "locks",
        )],
        *[(name, ctypes.c_double) for name in ("max_score", "unit", "slack", "rough_slack")],
        *[(name, ctypes.c_int32) for name in (
            "components", "dimension", "left_k", "right_k", "self_join", "variant",
        )],
    ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A library and the variant of it that runs here.

    Attributes
    ----------
    library : ctypes.CDLL
    name : str
        One of `VARIANTS`.
    """

    library: Any
    name: str

    @property
    def number(self) -> int:
        """The variant's number in kernel.c."""
        return VARIANTS.index(self.name)

    @property
    def qmax(self) -> int:
        """The largest component that it multiplies rightly."""
        return QMAX.get(self.name, 127)


def pointer(array: NDArray[Any], kind: type[np.generic], size: int, *, writable: bool = False) -> int:
    """The address of an array that a call may use; refuses one of another type, layout or size."""
    flags = array.flags
    if array.dtype != kind or not (flags.c_contiguous and flags.aligned) or array.size < size:
        raise ValueError(f"{size} contiguous numbers of {kind.__name__} are needed")
    if writable and not array.flags.writeable:
        raise ValueError("the array is read-only")
    return int(array.ctypes.data)


@functools.cache
def load(path: Path = LIBRARY) -> Any:
    """The library; OSError where there is none, or one of another version."""
    library = ctypes.CDLL(str(path))
    if library.lightmine_abi() != ABI_VERSION or library.lightmine_join_bytes() != ctypes.sizeof(Join):
        raise OSError(f"{path}: was built from another version of native/kernel.c")
    v, i, i64, f64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double
    for name, result, arguments in (
        ("lightmine_can", i, [i]),
        ("lightmine_scratch", i64, [i, i]),
        ("lightmine_strip", i64, [v, i, i, i, i, v, v, v, v, v, i64, v]),
        ("lightmine_tile", i, [i, v, v, v, v, v, v, v, i, i, v, v, v]),
        ("lightmine_quantize", None, [i, v, i64, i, i, f64, i, f64, f64, i, i64, v, v, v]),
        ("lightmine_scores", None, [i, v, v, i, v, v, i64, v]),
        ("lightmine_norms", None, [i, v, i64, i, v]),
        ("lightmine_top_k", None, [v, v, v, i64, i, i64, v, v, v, v, v]),
        ("lightmine_order", None, [v, v, v, i64, v, v]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


@functools.cache
def find_kernel(path: Path = LIBRARY) -> tuple[Kernel | None, str]:
    """The best variant that this processor runs rightly, or None, and why.

    Every candidate is proven: it has to agree with integer arithmetic before it is used.
    """
    if not path.exists():
        return None, "this installation has no compiled kernel"
    try:
        library = load(path)
    except OSError as error:
        return None, f"the compiled kernel cannot be loaded: {error}"
    wrong: list[str] = []
    for name in BEST_FIRST:
        kernel = Kernel(library, name)
        if library.lightmine_can(kernel.number):
            if is_right(kernel):
                return kernel, name + "".join(f"; {other} is wrong here" for other in wrong)
            wrong.append(name)
    return None, "no variant of the compiled kernel suits this processor" + "".join(
        f"; {name} is wrong here" for name in wrong
    )


def is_right(kernel: Kernel) -> bool:
    """Whether a variant's products and comparisons agree with integer arithmetic.

    Operands are the largest that it is used with, of like and of unlike signs: sums that overflow somewhere
    do with these. Each row is compared with the product of one of its pairs, so every pair near it is told
    apart.
    """
    rng = np.random.default_rng(0)
    for width, panels in ((WIDTH, 2), (8 * WIDTH, 4)):
        shape = (BLOCK, width), (panels * PANEL, width)
        left, right = (rng.choice(np.array([-kernel.qmax, kernel.qmax], np.int8), size) for size in shape)
        left[0], right[0], left[1], right[1] = kernel.qmax, kernel.qmax, -kernel.qmax, -kernel.qmax
        left[2:9] = rng.integers(-kernel.qmax, kernel.qmax + 1, (7, width))
        products = left.astype(np.int64) @ right.T.astype(np.int64)
        errors = rng.integers(0, 1 << 12, panels * PANEL).astype(np.int32)
        for column in (0, 1, int(rng.integers(2, panels * PANEL))):
            bounds = products + errors
            limits = bounds[:, column].astype(np.int32)
            if not np.array_equal(tile(kernel, left, right, errors, limits), bounds >= limits[:, None]):
                return False
            own = rng.integers(0, 1 << 12, BLOCK).astype(np.int32)
            others = rng.integers(-(1 << 20), 1 << 20, panels * PANEL).astype(np.int32)
            least = np.minimum(limits[:, None], others - own[:, None])
            if not np.array_equal(tile(kernel, left, right, errors, limits, own, others), bounds >= least):
                return False
    return True


def tile(
    kernel: Kernel,
    left: NDArray[np.int8],
    right: NDArray[np.int8],
    errors: NDArray[np.int32],
    row_limits: NDArray[np.int32],
    row_errors: NDArray[np.int32] | None = None,
    column_limits: NDArray[np.int32] | None = None,
) -> NDArray[np.bool_]:
    """Which pairs of some components reach their limits, as one call of a variant's tile tells.

    Parameters
    ----------
    left : int8 array of shape (32, width)
    right : int8 array of shape (m, width), m a multiple of 32
    errors : int32 array of shape (m,)
        Added to the products of each column.
    row_limits, row_errors : int32 arrays of shape (32,)
    column_limits : int32 array of shape (m,), optional
        A pair then reaches its limit at ``column_limits - row_errors`` too.

    Returns
    -------
    bool array of shape (32, m)
    """
    m, width = right.shape
    if m % (2 * PANEL) or width % WIDTH or not 0 < m <= 1 << 16:
        raise ValueError("a tile has whole pairs of panels, and components in groups of 64")
    panels = np.ascontiguousarray(right.reshape(m // PANEL, PANEL, width // 4, 4).transpose(0, 2, 1, 3))
    sums = right.sum(axis=1, dtype=np.int32)
    own = np.zeros(BLOCK, np.int32) if row_errors is None else row_errors
    packed, starts, hits = np.empty_like(left), np.empty(m, np.int32), np.empty(BLOCK * m, np.uint32)
    count = kernel.library.lightmine_tile(
        kernel.number, pointer(left, np.int8, BLOCK * width), pointer(panels, np.int8, m * width),
        pointer(sums, np.int32, m), pointer(errors, np.int32, m), pointer(row_limits, np.int32, BLOCK),
        pointer(own, np.int32, BLOCK), None if column_limits is None else pointer(column_limits, np.int32, m),
        width, m // PANEL, packed.ctypes.data, starts.ctypes.data, hits.ctypes.data,
    )  # fmt: skip
    found = np.zeros((BLOCK, m), bool)
    found[hits[:count] >> 16, hits[:count] & 0xFFFF] = True
    return found


def quantize(
    kernel: Kernel, block: NDArray[np.float32], first: int, out: CompressedRows, max_norm: float
) -> None:
    """Compress rotated rows into places from `first` on, a multiple of 16."""
    params = out.params
    count, p = block.shape
    places, width = len(out.errors), params.width
    fits = 0 <= first <= first + count <= places and p == params.n_components
    if not fits or first % PANEL or params.qmax > kernel.qmax:
        raise ValueError("the block does not fit the compressed rows")
    kernel.library.lightmine_quantize(
        kernel.number, pointer(block, np.float32, count * p), count, p, width, params.scale, params.qmax,
        params.rotation_error, max_norm, int(p < params.dimension), first,
        pointer(out.panels, np.int8, places * width, writable=True),
        pointer(out.errors, np.int32, places, writable=True),
        pointer(out.sums, np.int32, places, writable=True),
    )  # fmt: skip


def scores(
    kernel: Kernel, x: NDArray[np.float32], y: NDArray[np.float32], left: NDArray[Any], right: NDArray[Any]
) -> NDArray[np.float32]:
    """The exact scores of pairs of rows; see `lightmine.engine.matrix.PairScorer`."""
    left, right = np.ascontiguousarray(left, np.int64), np.ascontiguousarray(right, np.int64)
    if x.shape[1] != y.shape[1] or len(left) != len(right):
        raise ValueError("rows of one dimension and pairs of two rows are needed")
    for numbers, rows in ((left, len(x)), (right, len(y))):
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < rows:
            raise IndexError("a pair names a row that is not there")
    out = np.empty(len(left), np.float32)
    kernel.library.lightmine_scores(
        kernel.number, pointer(x, np.float32, x.size), pointer(y, np.float32, y.size), x.shape[1],
        left.ctypes.data, pointer(right, np.int64, len(left)), len(left), out.ctypes.data,
    )  # fmt: skip
    return out


def norms(kernel: Kernel, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The norms of rows, their squares added in the documented order."""
    out = np.empty(len(x), np.float64)
    kernel.library.lightmine_norms(
        kernel.number, pointer(x, np.float32, x.size), len(x), x.shape[1], out.ctypes.data
    )
    return out


def top_k(
    kernel: Kernel,
    rows: NDArray[np.int32],
    others: NDArray[np.int32],
    values: NDArray[np.float32],
    k: int,
    bounds: NDArray[np.float32] | None,
    n: int,
) -> NDArray[np.bool_]:
    """`lightmine.engine.top_k.top_k` of rows from 0 to n - 1."""
    count = len(rows)
    rows, others = np.ascontiguousarray(rows, np.int32), np.ascontiguousarray(others, np.int32)
    values = np.ascontiguousarray(values, np.float32)
    if not len(others) == len(values) == count or k < 1 or not 0 <= rows.min() <= rows.max() < n:
        raise ValueError("entries name rows that are not there")
    mask = np.zeros(count, np.bool_)
    starts, order = np.empty(n + 1, np.int64), np.empty(count, np.int32)
    keys = np.empty(int(np.bincount(rows).max()), np.uint64)
    kernel.library.lightmine_top_k(
        rows.ctypes.data, others.ctypes.data, values.ctypes.data, count, k, n, starts.ctypes.data,
        order.ctypes.data, keys.ctypes.data, mask.ctypes.data,
        None if bounds is None else pointer(bounds, np.float32, n, writable=True),
    )  # fmt: skip
    return mask


def order(
    kernel: Kernel, first: NDArray[np.uint32], second: NDArray[np.uint32], third: NDArray[np.uint32]
) -> NDArray[np.int32]:
    """Places of entries in the order of three numbers each."""
    count = len(first)
    given = [np.ascontiguousarray(numbers) for numbers in (first, second, third)]
    keys, found = np.empty(8 * count, np.uint32), np.empty(count, np.int32)
    kernel.library.lightmine_order(
        *(pointer(numbers, np.uint32, count) for numbers in given),
        count, keys.ctypes.data, found.ctypes.data,
    )  # fmt: skip
    return found
