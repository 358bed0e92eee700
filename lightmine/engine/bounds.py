"""Bounds: an upper bound of the score for every pair of a tile, and thresholds for the raw scores.

A kernel never decides what the answer is. It turns limits into raw thresholds: a raw score under its
threshold proves that the pair's exact score is under its limit. The other pairs are scored again by
`matrix.PairScorer`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightmine.engine.basis import rotation_error
from lightmine.engine.matmul import Fp32Product, Int8Product, Raw
from lightmine.engine.matrix import FloatMatrix, product_error
from lightmine.engine.quantization import (
    MAX_NORM,
    CompressedRows,
    QuantizationParams,
    RowOrder,
    as_left,
    uncompressed,
)
from lightmine.engine.tuning import DEFAULT_TUNING

Scores = NDArray[np.float32]
Tile = tuple[slice, slice]


@dataclasses.dataclass(frozen=True)
class BoundStage:
    """Compressed rows of both sides: a pair's exact score is at most ``unit * raw + slack``.

    By the derivation in `lightmine.engine.quantization` the int8 product, exact in int32, is the bound, but
    for the rounding of the exact score. The float32 product of p terms in any order, fused or not, is within
    p·u/(1 - p·u) · ‖x̂‖‖ŷ‖ of the true one, u = 2^-24 (Higham 2002, Accuracy and Stability of Numerical
    Algorithms, section 3.1, and Cauchy and Schwarz), and the errors of its rows, the same for every row, are
    in the slack; underflow adds less than 1e-35.

    Examples
    --------
    >>> from lightmine.engine.matrix import unit_rows
    >>> bound_stage = plain(unit_rows([[1, 0], [1, 1]]), None)
    >>> bool(0.5 - 1e-6 < bound_stage.raw_threshold(0.5) < 0.5 < bound_stage.upper_bound(0.5) < 0.5 + 1e-6)
    True
    """

    left: CompressedRows
    right: CompressedRows
    n_components: int
    unit: float
    slack: float
    integer: bool

    def raw_threshold(self, limits: Any) -> Any:
        """Raw scores under which the bound does not reach these limits."""
        raw = (np.asarray(limits, np.float64) - self.slack) / self.unit
        if self.integer:
            # A raw score is a whole number, so rounding down keeps all that reach; int32 holds every one.
            return np.clip(np.floor(raw - 1e-6), -(2.0**31), 2.0**31 - 1).astype(np.int32)
        return np.nextafter(raw.astype(np.float32), np.float32(-np.inf))

    def upper_bound(self, raw: Any) -> Any:
        """Upper bounds of the exact scores of pairs with these raw scores."""
        return raw * self.unit + self.slack


# Rounding of the exact score, and of its sum in float64, with a margin.
ROUNDING = 2.0**-23 + 1e-12


def plain(x: FloatMatrix, y: FloatMatrix | None) -> BoundStage:
    """The matrices themselves, in float32."""
    d = x.shape[1]
    slack = ROUNDING + 1.02 * product_error(d)
    return BoundStage(uncompressed(x), uncompressed(x if y is None else y), d, 1.0, slack, integer=False)


def bound_stage(left: CompressedRows, right: CompressedRows, params: QuantizationParams) -> BoundStage:
    """Compressed rows, and the slack that follows from their parameters."""
    slack = ROUNDING
    if params.qmax is None:
        rotation = rotation_error(params.vectors.shape[1], params.n_components)
        # (x̂, ‖r‖) is longer than x by the error of the rotation at most; 1.02 covers products of errors.
        slack += 1.02 * (1 + 2 * rotation) * product_error(params.width)
        slack += 2 * MAX_NORM * params.max_norm * rotation
    return BoundStage(left, right, params.n_components, params.unit, slack, integer=params.qmax is not None)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Stages with ever more components, all in one row order, and the stage that each tile begins with.

    Attributes
    ----------
    stages : list of BoundStage
    columns : int
        The width of a tile, and of an int8 block.
    number : callable
        The stage of a tile, from its rows and columns; by default the first.
    band : int
        Row blocks that are multiplied by the same columns one after the other.
    """

    stages: list[BoundStage]
    columns: int
    number: Callable[[slice, slice], int] = lambda rows, columns: 0
    band: int = DEFAULT_TUNING.band

    def scorer(self, size: int) -> Scorer:
        """What one worker needs for tiles of at most `size` pairs; not to be shared."""
        return Int8Scorer(self, size) if self.stages[0].integer else Fp32Scorer(self, size)

    def hardest_first(self, tiles: Callable[[], Iterator[Tile]]) -> Iterator[Tile]:
        """Every tile once, those that begin with the most components first.

        They hold the nearest pairs, which raise the limits the most.
        """
        for number in reversed(range(len(self.stages))):
            yield from (tile for tile in tiles() if self.number(*tile) == number)

    @property
    def sides(self) -> tuple[CompressedRows, CompressedRows]:
        """Compressed rows of both sides, for their row orders."""
        return self.stages[0].left, self.stages[0].right

    def left_rows(self, places: slice | RowOrder) -> Any:
        """The left matrix's rows at these places."""
        return self.stages[0].left.rows(places)

    def right_rows(self, places: slice | RowOrder) -> Any:
        """The right matrix's rows at these places."""
        return self.stages[0].right.rows(places)


class Scorer(Protocol):
    """What one worker computes raw scores with: a session and a buffer."""

    def scores(self, bound_stage: int, rows: slice, columns: slice) -> Raw:
        """Raw scores of a tile at one stage, valid until the next call."""


class Fp32Scorer:
    """Raw scores as float32 products of the compressed rows."""

    def __init__(self, kernel: Kernel, size: int) -> None:
        self._sides: Any = [
            (bound_stage.left.blocks[0], bound_stage.right.blocks[0]) for bound_stage in kernel.stages
        ]
        self._product = Fp32Product(size=size)

    def scores(self, bound_stage: int, rows: slice, columns: slice) -> Raw:
        """See `Scorer`."""
        left, right = self._sides[bound_stage]
        return self._product(left[rows], right[columns])


class Int8Scorer:
    """Raw scores as integer products of quantized components."""

    def __init__(self, kernel: Kernel, size: int) -> None:
        self._sides: Any = [
            (bound_stage.left.blocks, bound_stage.right.blocks) for bound_stage in kernel.stages
        ]
        self._columns, self._band = kernel.columns, kernel.band
        self._product = Int8Product(size=size)
        self._operands: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def scores(self, bound_stage: int, rows: slice, columns: slice) -> Raw:
        """See `Scorer`; `columns` is a whole block, `rows` lie within one."""
        left, right = self._sides[bound_stage]
        key = bound_stage, rows.start
        if key not in self._operands:
            block, start = divmod(rows.start, self._columns)
            if len(self._operands) >= self._band * len(self._sides):
                self._operands.clear()
            self._operands[key] = as_left(left[block], slice(start, start + rows.stop - rows.start))
            assert len(self._operands[key]) == rows.stop - rows.start, "rows of a tile span two blocks"
        return self._product(self._operands[key], right[columns.start // self._columns])
