"""Twins: a matrix's leading coordinates in a better basis, cheap to multiply, with what that costs.

The derivation, for rows x and y of norm at most 1 + 1e-6. An orthogonal basis changes no dot product.
In it, x has a leading part of p coordinates and a rest r left out; the twin holds x̂, the leading part
but for an error e (it is rounded to float32, or quantised). Likewise y has a rest s, and ŷ an error f:

    x·y = (x̂ + e)·(ŷ + f) + r·s = x̂·ŷ + (x̂ + e)·f + e·ŷ + r·s
        ≤ x̂·ŷ + ‖x̂ + e‖‖f‖ + ‖e‖‖ŷ‖ + ‖r‖‖s‖            by Cauchy and Schwarz
        ≤ x̂·ŷ + L(‖e‖ + ‖f‖) + ‖r‖‖s‖                      L: at least 1 + 1e-6 and every ‖ŷ‖.

All of the right side is one dot product of longer rows, so the product of twins *is* the bound:

    (x̂, ‖r‖/√m … ‖r‖/√m, L‖e‖/c, c) · (ŷ, ‖s‖/√m … ‖s‖/√m, c, L‖f‖/c)

with the appended numbers rounded up: m coordinates share ‖r‖, because int8 holds no large one, and c
is the largest that it holds. Eigenvectors of XᵀX as the basis put as much as can be into few
coordinates; a random rotation of those among themselves makes them alike, so that one scale quantises
them all.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine.matmul import ZERO_POINT, Fp32Product, Raw
from lightmine.engine.matrix import UNIT_TOLERANCE, FloatMatrix, product_error

# Rows that the basis is taken from; any orthogonal basis is right, a good one only rejects more.
BASIS_ROWS = 4096
# Rows that are turned and quantised at a time.
CHUNK = 1024
# What rounding a norm up, or a product of two, may be off by in float64.
ROOM = 1 + 1e-9
# The most that a row's norm can be, and the most coordinates that may share its ‖r‖.
MAX_NORM, MAX_RESIDUAL_COLUMNS = 1 + UNIT_TOLERANCE, 10
# How much coarser a scale is tried where some row does not fit.
SCALE_STEP = 1.15
# Dimensions up to which a scale can be found that every unit row fits, see `safe_params`.
LARGEST_INT8 = 8192

RowOrder = NDArray[np.signedinteger[Any]]


@dataclasses.dataclass(frozen=True)
class CompressedRows:
    """One side of a product, ready for a kernel.

    Attributes
    ----------
    order : int32 array of shape (n,), or None
        The matrix's row at each place of the twin; None where every row is at its own place.
    blocks : list of arrays
        int8 of shape (p + what is appended, columns), one a column tile; or one float32 array of shape
        (n, p + 1).
    """

    order: NDArray[np.int32] | None
    blocks: list[NDArray[np.int8]] | list[NDArray[np.float32]]

    def rows(self, places: Any) -> Any:
        """The matrix's rows at these places, a slice or an array."""
        return places if self.order is None else self.order[places]


def uncompressed(x: FloatMatrix) -> CompressedRows:
    """The matrix as its own twin: nothing is left out, and nothing appended."""
    return CompressedRows(None, [x])


def as_left(block: NDArray[np.int8], places: slice) -> NDArray[np.uint8]:
    """Some columns of an int8 block as the left operand: error and c change places, zero is 128."""
    part = block[:, places].T
    left = np.empty(part.shape, np.int8)
    left[:, :-2], left[:, -2], left[:, -1] = part[:, :-2], part[:, -1], part[:, -2]
    # As unsigned numbers with a zero point: the same bits with the sign bit turned.
    return left.view(np.uint8) ^ np.uint8(ZERO_POINT)


def basis(x: FloatMatrix, y: FloatMatrix | None) -> FloatMatrix:
    """An orthogonal basis, the coordinates that hold most of the rows' norm first; shape (d, d), rows."""
    sides = [x] if y is None else [x, y]
    gram = np.zeros((x.shape[1], x.shape[1]))
    for side in sides:
        sample = np.ascontiguousarray(side[:: max(1, len(side) // BASIS_ROWS)][:BASIS_ROWS])
        gram += sample.T @ sample
    return np.ascontiguousarray(np.linalg.eigh(gram)[1].T[::-1], np.float32)


def random_rotation(vectors: FloatMatrix) -> FloatMatrix:
    """The same p basis vectors turned among themselves, so that rows are alike in every coordinate."""
    random = np.random.default_rng(0).standard_normal((len(vectors), len(vectors)))
    return np.ascontiguousarray(np.linalg.qr(random)[0] @ vectors.astype(np.float64), np.float32)


def rotation_error(d: int, p: int) -> float:
    """The norm of what float32 can do to p turned coordinates of a unit row.

    Each is a dot product of d terms with a unit vector, so within d·u/(1 - d·u) of the true one
    (u = 2^-24). The basis is rounded to float32 twice, each time by at most u of every entry, which
    turns a row by at most u·√p; its departure from orthogonality before that, some 1e-14, is far inside
    the hundredth that is added.
    """
    return float(1.01 * np.sqrt(p) * product_error(d + 4))


@dataclasses.dataclass(frozen=True)
class QuantizationParams:
    """How a twin is made: the turned leading basis (p, d); for int8 also levels, scale and sharers m."""

    vectors: FloatMatrix
    qmax: int | None = None
    scale: float = 1.0
    residual_columns: int = 1

    @property
    def n_components(self) -> int:
        """Coordinates p, what is appended not counted."""
        return len(self.vectors)

    @property
    def width(self) -> int:
        """Numbers in a row of the twin."""
        return self.n_components + self.residual_columns + (0 if self.qmax is None else 2)

    @property
    def unit(self) -> float:
        """What a raw product is to be multiplied by."""
        return 1.0 if self.qmax is None else self.scale**2

    @property
    def max_residual(self) -> float:
        """The largest ‖r‖ that the sharers can hold."""
        return (
            math.inf
            if self.qmax is None
            else self.qmax * self.scale * math.sqrt(self.residual_columns) / ROOM
        )

    @property
    def max_error(self) -> float:
        """The largest ‖e‖ that its coordinate can hold."""
        return math.inf if self.qmax is None else (self.qmax * self.scale) ** 2 / (self.max_norm * ROOM)

    @property
    def max_norm(self) -> float:
        """L: what no x̂ + e and no ŷ is longer than: rounding adds half a step at most, clipping nothing.

        What float32 adds to either is far inside the error of turning.
        """
        grown = 0.0 if self.qmax is None else 0.5 * self.scale * math.sqrt(self.n_components)
        return MAX_NORM + grown + rotation_error(self.vectors.shape[1], self.n_components)


def choose_params(vectors: FloatMatrix, sample: FloatMatrix, qmax: int | None) -> QuantizationParams:
    """Choose the scale: as fine as clips no coordinate of all but one row in a thousand."""
    if qmax is None:
        return QuantizationParams(vectors, residual_columns=int(len(vectors) < vectors.shape[1]))
    rotated = sample @ vectors.T
    scale = max(float(np.quantile(np.abs(rotated).max(axis=1), 0.999)) / qmax, 1e-6)
    left_out = math.sqrt(max(0.0, 1 - float(np.square(rotated).sum(axis=1).min())))
    return QuantizationParams(
        vectors,
        qmax,
        scale,
        _residual_columns(len(vectors), vectors.shape[1], 1.05 * left_out / scale / qmax),
    )


def safe_params(vectors: FloatMatrix, qmax: int) -> QuantizationParams:
    """A coarse scale s that every unit row fits, whatever its coordinates; for p up to `LARGEST_INT8`.

    Nothing clips where levels·s is at least the longest row. The error, at most s·√p/2, then has to fit
    its coordinate, (levels·s)²/L with L = 1 + s·√p/2: so s·(levels² - p/4) is to be at least √p/2.
    """
    n_components = len(vectors)
    scale = 1.05 * max(MAX_NORM / qmax, 0.5 * math.sqrt(n_components) / (qmax**2 - n_components / 4))
    return QuantizationParams(vectors, qmax, scale, _residual_columns(n_components, vectors.shape[1], 1.0))


def increasing_scales(how: QuantizationParams) -> Iterator[QuantizationParams]:
    """The recipe, then ever coarser ones for rows unlike the sample, the last of which every row fits."""
    yield how
    if how.qmax is None:
        return
    safe = safe_params(how.vectors, how.qmax)
    while (scale := how.scale * SCALE_STEP) < safe.scale:
        how = dataclasses.replace(how, scale=scale)
        yield how
    yield safe


def _residual_columns(n_components: int, d: int, ratio: float) -> int:
    """So many that each holds its share of a ‖r‖ of `ratio` times the largest number, to a width of 4·n."""
    least = 0 if n_components == d else min(MAX_RESIDUAL_COLUMNS, math.ceil(ratio**2 + 0.1))
    return least + -(n_components + least + 2) % 4


class RowQuantizer:
    """Makes twins by a recipe, a block of rows at a time; one a worker."""

    def __init__(self, how: QuantizationParams) -> None:
        self.how = how
        self._product = Fp32Product(size=CHUNK * how.n_components)
        self._off = rotation_error(how.vectors.shape[1], how.n_components)
        # A norm's square is a float32 product of p terms, and underflow is far under the errors above.
        self._off_by = 1 + product_error(how.n_components)

    def fill(self, block: FloatMatrix, out: NDArray[Any]) -> bool:
        """Write the twin of some rows to `out`, (width, rows) int8 or (rows, width) float32.

        Returns whether every row fits the recipe; where one does not, what was written is no bound.
        """
        how = self.how
        rotated: Any = self._product(block, how.vectors)
        left_out = self._residual(rotated)
        if how.qmax is None:
            out[:, : how.n_components] = rotated
            if how.residual_columns:
                out[:, how.n_components] = np.nextafter(left_out.astype(np.float32), np.float32(np.inf))
            return True
        steps = rotated * np.float32(1 / how.scale)
        np.rint(steps, out=steps)
        np.clip(steps, -how.qmax, how.qmax, out=steps)
        out[: how.n_components] = steps.T
        steps *= np.float32(how.scale)
        np.subtract(rotated, steps, out=steps)
        # The product's and the difference's own roundings are a few u of coordinates under 1.
        error = _norm(steps) * self._off_by + self._off + 8 * 2.0**-24
        out[how.n_components : -2] = np.ceil(
            left_out * (ROOM / (how.scale * math.sqrt(how.residual_columns or 1)))
        ).clip(max=how.qmax)
        out[-2] = how.qmax
        out[-1] = np.ceil(error * (ROOM * how.max_norm / (how.qmax * how.scale**2))).clip(max=how.qmax)
        return bool(error.max() <= how.max_error and left_out.max() <= how.max_residual)

    def _residual(self, rotated: Raw) -> NDArray[np.float64]:
        """The norm of what turned leading coordinates leave out of each row, none too small."""
        p, d = self.how.vectors.shape
        if p == d:
            return np.zeros(len(rotated))
        # The leading part may be shorter than it was computed to be, and the row a little longer than 1.
        least = np.maximum(_norm(rotated) / self._off_by - self._off, 0)
        left_out: NDArray[np.float64] = np.sqrt(np.maximum(MAX_NORM**2 - least**2, 0)) * (1 + 1e-6)
        return left_out


def _norm(block: Any) -> NDArray[np.float64]:
    """Norms of rows, accumulated in float32."""
    norms: NDArray[np.float64] = np.sqrt(np.vecdot(block, block).astype(np.float64))
    return norms


def compress_rows(
    x: FloatMatrix,
    y: FloatMatrix | None,
    vectors: FloatMatrix,
    qmax: int | None,
    orders: tuple[RowOrder, RowOrder],
    *,
    columns: int,
    workers: int,
) -> tuple[CompressedRows, CompressedRows, QuantizationParams]:
    """Twins of both sides (one twin for one collection), and the recipe they were made by.

    `vectors` is the leading basis, (p, d); `qmax` the largest int8 magnitude, None for float32;
    `orders` the row at each place of both sides; `columns` the width of an int8 block.
    """
    sides = [x] if y is None else [x, y]
    sample = np.concatenate([side[:: max(1, len(side) // 1024)][:1024] for side in sides])
    how = choose_params(random_rotation(vectors) if qmax else vectors, sample, qmax)

    def make(how: QuantizationParams) -> list[CompressedRows] | None:
        compressed = []
        for side, order in zip(sides, orders, strict=False):
            twin = _compress_side(side, how, order, columns, workers)
            if twin is None:
                return None
            compressed.append(twin)
        return compressed

    for each in increasing_scales(how):
        compressed = make(each)
        if compressed is not None:
            return compressed[0], compressed[-1], each
    raise AssertionError("a unit row does not fit a recipe made for all of them")


def _compress_side(
    x: FloatMatrix, how: QuantizationParams, order: RowOrder, columns: int, workers: int
) -> CompressedRows | None:
    """The twin, or None where a row does not fit the recipe."""
    n = len(x)
    if how.qmax is None:
        blocks: list[Any] = [np.empty((n, how.width), np.float32)]
    else:
        blocks = [np.empty((how.width, min(columns, n - start)), np.int8) for start in range(0, n, columns)]
    block_rows = n if how.qmax is None else columns
    misfit = threading.Event()

    def fill(maker: RowQuantizer, chunk: slice) -> None:
        # A chunk of places lies within one block: both begin at multiples of the smaller width.
        if misfit.is_set():
            return
        block, start = blocks[chunk.start // block_rows], chunk.start % block_rows
        rows = x[order[chunk]]
        part = slice(start, start + len(rows))
        if not maker.fill(rows, block[part] if how.qmax is None else block[:, part]):
            misfit.set()

    step = min(block_rows, CHUNK)
    chunks = [
        slice(start, min(start + step, top + block_rows, n))
        for top in range(0, n, block_rows)
        for start in range(top, min(top + block_rows, n), step)
    ]
    pool.run(chunks, fill, lambda: RowQuantizer(how), workers=workers)
    return None if misfit.is_set() else CompressedRows(order.astype(np.int32, copy=False), blocks)
