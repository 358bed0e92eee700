"""Score kernels: a cheap score for every pair of a tile, and cuts that no pair of the answer is under.

A kernel never decides what the answer is. It turns limits into cuts such that a raw score under its
cut proves the pair's true score to be under its limit; what is left is scored again by
`matrix.exact_scores`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightmine.engine.matrix import product_error
from lightmine.engine.products import ZERO_POINT, Fp32Product, Int8Product, Raw
from lightmine.engine.tiles import BAND
from lightmine.engine.twins import Places, Twin

Scores = NDArray[np.float32]
Bounds = NDArray[np.float64]


# ‖e‖ and ‖r‖ of some places, or the largest of each among them.
Norms = tuple[Any, Any]


class Kernel:
    """Products of two twins as certified bounds of true scores.

    By the derivation in `twins`, a pair's true score is within ``slack`` of ``unit * raw``:

        slack = (1 + 1e-6)(‖e‖ + ‖f‖) + ‖e‖‖f‖ + ‖r‖‖s‖ + rounding

    The int8 product is exact. The float32 product of p terms in any order, fused or not, is within
    p·u/(1 - p·u) · ‖x̂‖‖ŷ‖ of the true one, u = 2^-24 (Higham 2002, Accuracy and Stability of Numerical
    Algorithms, section 3.1, and Cauchy and Schwarz); underflow adds less than 1e-35.

    Parameters
    ----------
    left, right : Twin
    unit : float
        Score of one raw unit.
    depth : int
        Coordinates p that are multiplied.
    columns : int
        Width of the tiles that int8 blocks were made for.

    Examples
    --------
    >>> from lightmine.engine.matrix import unit_rows
    >>> from lightmine.engine.twins import itself
    >>> x = itself(unit_rows([[1, 0], [1, 1]]))
    >>> kernel = Kernel(x, x, unit=1.0, depth=2, columns=2)
    >>> kernel.scorer(4).scores(slice(0, 2), slice(0, 2)).round(4)
    array([[1.    , 0.7071],
           [0.7071, 1.    ]], dtype=float32)
    >>> bool(0 < kernel.slack(slice(0, 2), slice(0, 2)) < 1e-6)
    True
    """

    def __init__(self, left: Twin, right: Twin, *, unit: float, depth: int, columns: int) -> None:
        self.left, self.right, self.unit, self.depth, self.columns = left, right, unit, depth, columns
        self.integer = left.blocks[0].dtype == np.int8
        # The one score's own rounding, and its accumulation's in float64, with room to spare.
        self.rounding = 2.0**-23
        if not self.integer:
            # No twin is longer than 1 + 1e-6 and its error, which is far under this hundredth.
            self.rounding += 1.02 * product_error(depth)
        largest = [float(twin.error.max(initial=0)) for twin in (left, right)]
        self._largest_errors = largest[0] * largest[1]
        self._largest: dict[tuple[bool, int, int], Norms] = {}

    def scorer(self, size: int) -> Scorer:
        """What one worker needs for tiles of at most `size` pairs; not to be shared."""
        return Int8Scorer(self, size) if self.integer else Fp32Scorer(self, size)

    def slack(self, rows: slice, columns: slice) -> float:
        """How far ``unit * raw`` can be from the true score of any pair of a tile."""
        return float(self._slack(self._most(False, rows), self._most(True, columns)))

    def floor_cut(self, limit: float, rows: slice, columns: slice) -> Any:
        """One cut for a whole tile."""
        return self._cut(np.array(limit - self.slack(rows, columns)))[()]

    def row_cuts(self, limits: Scores, rows: slice, columns: slice) -> Raw:
        """A cut for each row of a tile, of shape (rows, 1)."""
        return self._cut(limits - self._slack(_norms(self.left, rows), self._most(True, columns)))[:, None]

    def column_cuts(self, limits: Scores, rows: slice, columns: slice) -> Raw:
        """A cut for each column of a tile."""
        return self._cut(limits - self._slack(_norms(self.right, columns), self._most(False, rows)))

    def upper(self, raw: Raw, left: Places, right: Places) -> Bounds:
        """Upper bounds of the true scores of single pairs, their places given."""
        bounds: Bounds = raw * self.unit + self._slack(_norms(self.left, left), _norms(self.right, right))
        return bounds

    def _slack(self, a: Norms, b: Norms) -> Any:
        """The formula of the class, for numbers and arrays alike; float64."""
        error, rest = a
        other_error, other_rest = b
        # Largest errors are some hundredths: their product is near nothing, and one number will do.
        both = self._largest_errors + self.rounding + 1e-12
        return (error + other_error) * (1 + 2e-6) + rest * other_rest + both

    def _cut(self, scores: Bounds) -> Raw:
        """Raw scores that are not over any raw score whose bound reaches `scores`."""
        raw = scores / self.unit
        if self.integer:
            # A raw score is a whole number, so rounding down keeps all that reach; int32 holds every one.
            return np.clip(np.floor(raw - 1e-6), -(2.0**31), 2.0**31 - 1).astype(np.int32)
        return np.nextafter(raw.astype(np.float32), np.float32(-np.inf))

    def _most(self, right: bool, places: slice) -> Norms:
        """The largest norms of one side of a tile; tiles share their sides, so it is kept."""
        key = right, places.start, places.stop
        if key not in self._largest:
            norms = _norms(self.right if right else self.left, places)
            self._largest[key] = float(norms[0].max()), float(norms[1].max())
        return self._largest[key]


def _norms(twin: Twin, places: slice | Places) -> Norms:
    return twin.error[places].astype(np.float64), twin.rest[places].astype(np.float64)


class Scorer(Protocol):
    """One worker's hands: a session and a buffer."""

    def scores(self, rows: slice, columns: slice) -> Raw:
        """Raw scores of a tile, valid until the next call."""


class Fp32Scorer:
    """Raw scores as float32 products of the twins' rows."""

    def __init__(self, kernel: Kernel, size: int) -> None:
        self._left: Any = kernel.left.blocks[0]
        self._right: Any = kernel.right.blocks[0]
        self._product = Fp32Product(size=size)

    def scores(self, rows: slice, columns: slice) -> Raw:
        """See `Scorer`."""
        return self._product(self._left[rows], self._right[columns])


class Int8Scorer:
    """Raw scores as integer products of quantised coordinates."""

    def __init__(self, kernel: Kernel, size: int) -> None:
        self._left, self._right, self._columns = kernel.left.blocks, kernel.right.blocks, kernel.columns
        self._product = Int8Product(size=size)
        self._operands: dict[int, NDArray[np.uint8]] = {}

    def scores(self, rows: slice, columns: slice) -> Raw:
        """See `Scorer`; `columns` is a whole block, `rows` lie within one."""
        if rows.start not in self._operands:
            block, start = divmod(rows.start, self._columns)
            part = self._left[block][:, start : start + rows.stop - rows.start]
            assert part.shape[1] == rows.stop - rows.start, "rows of a tile span two blocks"
            if len(self._operands) >= BAND:
                self._operands.clear()
            # As unsigned numbers with a zero point: the same bits with the sign bit turned.
            self._operands[rows.start] = np.ascontiguousarray(part.T).view(np.uint8) ^ np.uint8(ZERO_POINT)
        return self._product(self._operands[rows.start], self._right[columns.start // self._columns])
