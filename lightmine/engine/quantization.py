"""Compressed rows: the leading components of rows in a better basis, and the error of their products.

The derivation, for rows x and y of norm at most 1 + 1e-6. An orthogonal basis changes no dot product.
In it, x has a leading part of p components and a rest r that is left out. The compressed row holds x̂,
the leading part but for an error e (it is rounded to float32, or quantized). Likewise y has a rest s, and
ŷ an error f:

    x·y = (x̂ + e)·(ŷ + f) + r·s = x̂·ŷ + (x̂ + e)·f + e·ŷ + r·s
        ≤ x̂·ŷ + ‖x̂ + e‖‖f‖ + ‖e‖‖ŷ‖ + ‖r‖‖s‖            by Cauchy and Schwarz
        ≤ x̂·ŷ + L(‖e‖ + ‖f‖) + ‖r‖‖s‖                      L: at least 1 + 1e-6 and every ‖ŷ‖.

All of the right side is one dot product of longer rows, so the product of compressed rows *is* the bound:

    (x̂, ‖r‖/√m … ‖r‖/√m, L‖e‖/c, c) · (ŷ, ‖s‖/√m … ‖s‖/√m, c, L‖f‖/c)

with the appended numbers rounded up: m columns share ‖r‖, because int8 holds no large number, and c
is the largest that it holds. Eigenvectors of XᵀX as the basis put as much of the norm as possible into
few components. A random rotation of these among themselves makes their sizes alike, so that one scale
quantizes them all.
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
from lightmine.engine.basis import random_rotation, rotation_error
from lightmine.engine.matmul import ZERO_POINT, Fp32Product, Raw
from lightmine.engine.matrix import UNIT_TOLERANCE, FloatMatrix, product_error
from lightmine.engine.tuning import DEFAULT_TUNING, Tuning

# The relative error of a norm that is rounded up, or of a product of two, in float64.
ROOM = 1 + 1e-9
# The most that a row's norm can be.
MAX_NORM = 1 + UNIT_TOLERANCE
# Dimensions up to which a scale can be found that every unit row fits, see `safe_params`.
LARGEST_INT8 = 8192

RowOrder = NDArray[np.signedinteger[Any]]


@dataclasses.dataclass(frozen=True)
class CompressedRows:
    """One side of a product, ready for a kernel.

    Attributes
    ----------
    order : int32 array of shape (n,), or None
        The matrix's row at each place; None if every row is at its own place.
    blocks : list of arrays
        int8 of shape (p + what is appended, columns), one for each column tile; or one float32 array of
        shape (n, p + 1).
    """

    order: NDArray[np.int32] | None
    blocks: list[NDArray[np.int8]] | list[NDArray[np.float32]]

    def rows(self, places: Any) -> Any:
        """The matrix's rows at these places, a slice or an array."""
        return places if self.order is None else self.order[places]


def uncompressed(x: FloatMatrix) -> CompressedRows:
    """The matrix itself: nothing is left out, and nothing appended."""
    return CompressedRows(None, [x])


def as_left(block: NDArray[np.int8], places: slice) -> NDArray[np.uint8]:
    """Some columns of an int8 block as the left operand: error and c swap places, zero is 128."""
    part = block[:, places].T
    left = np.empty(part.shape, np.int8)
    left[:, :-2], left[:, -2], left[:, -1] = part[:, :-2], part[:, -1], part[:, -2]
    # As unsigned numbers with a zero point: the same bits with the sign bit flipped.
    return left.view(np.uint8) ^ np.uint8(ZERO_POINT)


@dataclasses.dataclass(frozen=True)
class QuantizationParams:
    """How rows are compressed: the rotated leading basis (p, d); for int8 qmax, scale, residual columns m."""

    vectors: FloatMatrix
    qmax: int | None = None
    scale: float = 1.0
    residual_columns: int = 1

    @property
    def n_components(self) -> int:
        """Components p, without what is appended."""
        return len(self.vectors)

    @property
    def width(self) -> int:
        """Length of a compressed row."""
        return self.n_components + self.residual_columns + (0 if self.qmax is None else 2)

    @property
    def unit(self) -> float:
        """What a raw product is to be multiplied by."""
        return 1.0 if self.qmax is None else self.scale**2

    @property
    def max_residual(self) -> float:
        """The largest ‖r‖ that the residual columns can hold."""
        if self.qmax is None:
            return math.inf
        return self.qmax * self.scale * math.sqrt(self.residual_columns) / ROOM

    @property
    def max_error(self) -> float:
        """The largest ‖e‖ that its column can hold."""
        return math.inf if self.qmax is None else (self.qmax * self.scale) ** 2 / (self.max_norm * ROOM)

    @property
    def max_norm(self) -> float:
        """L: no x̂ + e and no ŷ is longer. Rounding adds half a step at most, clipping adds nothing.

        What float32 adds to either is far smaller than the error of the rotation.
        """
        grown = 0.0 if self.qmax is None else 0.5 * self.scale * math.sqrt(self.n_components)
        return MAX_NORM + grown + rotation_error(self.vectors.shape[1], self.n_components)


def choose_params(
    vectors: FloatMatrix, sample: FloatMatrix, qmax: int | None, tuning: Tuning = DEFAULT_TUNING
) -> QuantizationParams:
    """Choose the smallest scale that clips no component of all but one row in a thousand."""
    if qmax is None:
        return QuantizationParams(vectors, residual_columns=int(len(vectors) < vectors.shape[1]))
    rotated = sample @ vectors.T
    scale = max(float(np.quantile(np.abs(rotated).max(axis=1), 0.999)) / qmax, 1e-6)
    left_out = math.sqrt(max(0.0, 1 - float(np.square(rotated).sum(axis=1).min())))
    ratio = 1.05 * left_out / scale / qmax
    residual_columns = _residual_columns(len(vectors), vectors.shape[1], ratio, tuning=tuning)
    return QuantizationParams(vectors, qmax, scale, residual_columns)


def safe_params(vectors: FloatMatrix, qmax: int, tuning: Tuning = DEFAULT_TUNING) -> QuantizationParams:
    """A large scale s that every unit row fits, whatever its components; for p up to `LARGEST_INT8`.

    Nothing clips if qmax·s is at least the longest row. The error, at most s·√p/2, then has to fit its
    column, (qmax·s)²/L with L = 1 + s·√p/2: so s·(qmax² - p/4) has to be at least √p/2.
    """
    n_components = len(vectors)
    scale = 1.05 * max(MAX_NORM / qmax, 0.5 * math.sqrt(n_components) / (qmax**2 - n_components / 4))
    residual_columns = _residual_columns(n_components, vectors.shape[1], 1.0, tuning=tuning)
    return QuantizationParams(vectors, qmax, scale, residual_columns)


def increasing_scales(params: QuantizationParams, tuning: Tuning) -> Iterator[QuantizationParams]:
    """The parameters, then ever larger scales for rows unlike the sample; every row fits the last."""
    yield params
    if params.qmax is None:
        return
    safe = safe_params(params.vectors, params.qmax, tuning)
    while (scale := params.scale * tuning.scale_step) < safe.scale:
        params = dataclasses.replace(params, scale=scale)
        yield params
    yield safe


def _residual_columns(n_components: int, d: int, ratio: float, *, tuning: Tuning) -> int:
    """Columns that a ‖r‖ of `ratio` times the largest number needs, up to a width that is a multiple of 4."""
    least = 0 if n_components == d else min(tuning.max_residual_columns, math.ceil(ratio**2 + 0.1))
    return least + -(n_components + least + 2) % 4


class RowQuantizer:
    """Compresses rows, a block at a time; each worker has its own."""

    def __init__(self, params: QuantizationParams, block_rows: int = DEFAULT_TUNING.compress_block) -> None:
        self.params = params
        self._product = Fp32Product(size=block_rows * params.n_components)
        self._off = rotation_error(params.vectors.shape[1], params.n_components)
        # A norm's square is a float32 product of p terms, and underflow is far under the errors above.
        self._off_by = 1 + product_error(params.n_components)

    def fill(self, block: FloatMatrix, out: NDArray[Any]) -> bool:
        """Write some compressed rows to `out`, (width, rows) int8 or (rows, width) float32.

        Returns whether every row fits the parameters. If one does not, what was written is no bound.
        """
        params = self.params
        rotated: Any = self._product(block, params.vectors)
        left_out = self._residual(rotated)
        if params.qmax is None:
            out[:, : params.n_components] = rotated
            if params.residual_columns:
                out[:, params.n_components] = np.nextafter(left_out.astype(np.float32), np.float32(np.inf))
            return True
        steps = rotated * np.float32(1 / params.scale)
        np.rint(steps, out=steps)
        np.clip(steps, -params.qmax, params.qmax, out=steps)
        out[: params.n_components] = steps.T
        steps *= np.float32(params.scale)
        np.subtract(rotated, steps, out=steps)
        # The product's and the difference's own roundings are a few u of components under 1.
        error = _norm(steps) * self._off_by + self._off + 8 * 2.0**-24
        out[params.n_components : -2] = np.ceil(
            left_out * (ROOM / (params.scale * math.sqrt(params.residual_columns or 1)))
        ).clip(max=params.qmax)
        out[-2] = params.qmax
        out[-1] = np.ceil(error * (ROOM * params.max_norm / (params.qmax * params.scale**2))).clip(
            max=params.qmax
        )
        return bool(error.max() <= params.max_error and left_out.max() <= params.max_residual)

    def _residual(self, rotated: Raw) -> NDArray[np.float64]:
        """The norm of what rotated leading components leave out of each row, none too small."""
        p, d = self.params.vectors.shape
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
    row_orders: tuple[RowOrder, RowOrder],
    *,
    columns: int,
    workers: int,
    tuning: Tuning = DEFAULT_TUNING,
) -> tuple[CompressedRows, CompressedRows, QuantizationParams]:
    """Compressed rows of both sides (the same for one collection), and their parameters.

    `vectors` is the leading basis, (p, d); `qmax` the largest int8 magnitude, None for float32;
    `row_orders` the row at each place of both sides; `columns` the width of an int8 block.
    """
    sides = [x] if y is None else [x, y]
    most = tuning.scale_rows
    sample = np.concatenate([side[:: max(1, len(side) // most)][:most] for side in sides])
    params = choose_params(random_rotation(vectors) if qmax else vectors, sample, qmax, tuning)

    def make(params: QuantizationParams) -> list[CompressedRows] | None:
        compressed = []
        for side, order in zip(sides, row_orders, strict=False):
            rows = _compress_side(side, params, order, columns, workers, tuning.compress_block)
            if rows is None:
                return None
            compressed.append(rows)
        return compressed

    for each in increasing_scales(params, tuning):
        compressed = make(each)
        if compressed is not None:
            return compressed[0], compressed[-1], each
    raise AssertionError("a unit row does not fit parameters made for all of them")


def _compress_side(
    x: FloatMatrix, params: QuantizationParams, order: RowOrder, columns: int, workers: int, step: int
) -> CompressedRows | None:
    """The compressed rows, or None if a row does not fit the parameters."""
    n = len(x)
    if params.qmax is None:
        blocks: list[Any] = [np.empty((n, params.width), np.float32)]
    else:
        blocks = [
            np.empty((params.width, min(columns, n - start)), np.int8) for start in range(0, n, columns)
        ]
    block_rows = n if params.qmax is None else columns
    misfit = threading.Event()

    def fill(quantizer: RowQuantizer, chunk: slice) -> None:
        # A chunk of places lies within one block: both begin at multiples of the smaller width.
        if misfit.is_set():
            return
        block, start = blocks[chunk.start // block_rows], chunk.start % block_rows
        rows = x[order[chunk]]
        part = slice(start, start + len(rows))
        if not quantizer.fill(rows, block[part] if params.qmax is None else block[:, part]):
            misfit.set()

    step = min(block_rows, step)
    chunks = [
        slice(start, min(start + step, top + block_rows, n))
        for top in range(0, n, block_rows)
        for start in range(top, min(top + block_rows, n), step)
    ]
    pool.run(chunks, fill, lambda: RowQuantizer(params, step), workers=workers)
    return None if misfit.is_set() else CompressedRows(order.astype(np.int32, copy=False), blocks)
