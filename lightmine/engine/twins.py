"""Twins: a matrix's leading coordinates in a better basis, cheap to multiply, and what that leaves out.

The derivation, for rows x and y of norm at most 1 + 1e-6. An orthogonal basis changes no dot product.
In it, x has a leading part of p coordinates and a rest r left out; the twin holds x̂, the leading part
but for an error e (it is rounded to float32, or quantised). Likewise y has a rest s, and ŷ an error f:

    x·y = (x̂ + e)·(ŷ + f) + r·s = x̂·ŷ + (x̂ + e)·f + e·ŷ + r·s
        ≤ x̂·ŷ + ‖x̂ + e‖‖f‖ + ‖e‖‖ŷ‖ + ‖r‖‖s‖            by Cauchy and Schwarz, and likewise from below,
        ≤ x̂·ŷ + (1 + 1e-6)(‖e‖ + ‖f‖) + ‖e‖‖f‖ + ‖r‖‖s‖    since ‖x̂ + e‖ ≤ ‖x‖ and ‖ŷ‖ ≤ ‖y‖ + ‖f‖.

A twin keeps ‖e‖ and ‖r‖ of every row, rounded up, so a product of twins is a certified bound.
Eigenvectors of XᵀX as the basis put as much as can be into few coordinates; a random rotation of those
among themselves makes them alike, so that one scale quantises them all.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine.matrix import UNIT_TOLERANCE, FloatMatrix, product_error
from lightmine.engine.products import Fp32Product, Raw

# Rows that the basis is taken from; any orthogonal basis is right, a good one only rejects more.
BASIS_ROWS = 4096
# Rows that are turned and quantised at a time.
CHUNK = 1024


Places = NDArray[np.signedinteger[Any]]
Mask = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Twin:
    """One side of a product, ready for a kernel.

    Attributes
    ----------
    order : int32 array of shape (n,), or None
        The matrix's row at each place of the twin; None where every row is at its own place.
    blocks : list of arrays
        int8 of shape (p, columns), one a column tile; or one float32 array of shape (n, p).
    error, rest : float32 arrays of shape (n,)
        ‖e‖ and ‖r‖ of each place, none too small.
    """

    order: NDArray[np.int32] | None
    blocks: list[NDArray[np.int8]] | list[NDArray[np.float32]]
    error: NDArray[np.float32]
    rest: NDArray[np.float32]

    def rows(self, places: Any) -> Any:
        """The matrix's rows at these places, a slice or an array."""
        return places if self.order is None else self.order[places]


def itself(x: FloatMatrix) -> Twin:
    """The matrix as its own twin: nothing is left out."""
    nothing = np.zeros(len(x), np.float32)
    return Twin(None, [x], nothing, nothing)


def basis(x: FloatMatrix, y: FloatMatrix | None) -> FloatMatrix:
    """An orthogonal basis, the coordinates that hold most of the rows' norm first; shape (d, d), rows."""
    sides = [x] if y is None else [x, y]
    gram = np.zeros((x.shape[1], x.shape[1]))
    for side in sides:
        sample = np.ascontiguousarray(side[:: max(1, len(side) // BASIS_ROWS)][:BASIS_ROWS])
        gram += sample.T @ sample
    return np.ascontiguousarray(np.linalg.eigh(gram)[1].T[::-1], np.float32)


def mixed(vectors: FloatMatrix) -> FloatMatrix:
    """The same p basis vectors turned among themselves, so that rows are alike in every coordinate."""
    random = np.random.default_rng(0).standard_normal((len(vectors), len(vectors)))
    return np.ascontiguousarray(np.linalg.qr(random)[0] @ vectors.astype(np.float64), np.float32)


def turn_error(d: int, p: int) -> float:
    """The norm of what float32 can do to p turned coordinates of a unit row.

    Each is a dot product of d terms with a unit vector, so within d·u/(1 - d·u) of the true one
    (u = 2^-24). The basis is rounded to float32 twice, each time by at most u of every entry, which
    turns a row by at most u·√p; its departure from orthogonality before that, some 1e-14, is far inside
    the hundredth that is added.
    """
    return float(1.01 * np.sqrt(p) * product_error(d + 4))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a twin is made: the turned leading basis (p, d), and levels with their scale for int8."""

    vectors: FloatMatrix
    levels: int | None = None
    scale: float = 1.0

    @property
    def unit(self) -> float:
        """What a raw product is to be multiplied by."""
        return 1.0 if self.levels is None else self.scale**2


def recipe(vectors: FloatMatrix, sample: FloatMatrix, levels: int | None) -> Recipe:
    """Choose the scale: as fine as clips no coordinate of all but one row in a thousand."""
    if levels is None:
        return Recipe(vectors)
    largest = np.quantile(np.abs(sample @ vectors.T).max(axis=1), 0.999)
    return Recipe(vectors, levels, float(np.float32(max(largest, 1e-6) / levels)))


class Maker:
    """Makes twins by a recipe, a block of rows at a time; one a worker."""

    def __init__(self, how: Recipe) -> None:
        self.how = how
        self._product = Fp32Product(size=CHUNK * len(how.vectors))
        self._off = turn_error(how.vectors.shape[1], len(how.vectors))

    def look(self, block: FloatMatrix) -> tuple[NDArray[np.float64], Mask]:
        """What some rows leave out, and which of them clip."""
        turned, left_out = self.turn(block)
        largest = np.inf if self.how.levels is None else (self.how.levels + 0.5) * self.how.scale
        return left_out, np.abs(turned).max(axis=1) > largest

    def turn(self, block: FloatMatrix) -> tuple[Any, NDArray[np.float64]]:
        """Turned leading coordinates of some rows, and the norm of what they leave out, none too small."""
        turned = self._product(block, self.how.vectors)
        p, d = self.how.vectors.shape
        if p == d:
            return turned, np.zeros(len(block))
        # The leading part may be shorter than it was computed to be, and the row a little longer than 1.
        least = np.maximum(_norm(turned) - self._off, 0)
        return turned, np.sqrt(np.maximum((1 + UNIT_TOLERANCE) ** 2 - least**2, 0))

    def fill(self, twin: Twin, places: slice, block: FloatMatrix, out: NDArray[Any]) -> None:
        """Write the twin of some rows to `out`, (p, rows) int8 or (rows, p) float32, and their norms."""
        turned, left_out = self.turn(block)
        if self.how.levels is None:
            out[:] = turned
            error = np.full(len(block), self._off)
        else:
            steps = turned * np.float32(1 / self.how.scale)
            np.rint(steps, out=steps)
            np.clip(steps, -self.how.levels, self.how.levels, out=steps)
            out[:] = steps.T
            steps *= np.float32(self.how.scale)
            np.subtract(turned, steps, out=steps)
            # The product's and the difference's own roundings are a few u of coordinates under 1.
            error = _norm(steps) * (1 + 1e-5) + self._off + 8 * 2.0**-24
        twin.error[places] = error * (1 + 1e-6)
        twin.rest[places] = left_out * (1 + 1e-6)


def _norm(block: Raw) -> NDArray[np.float64]:
    wide = block.astype(np.float64)
    norms: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    return norms


def make_twins(
    x: FloatMatrix,
    y: FloatMatrix | None,
    vectors: FloatMatrix,
    levels: int | None,
    *,
    columns: int,
    workers: int,
    orders: tuple[Places, Places] | None = None,
) -> tuple[tuple[Twin, Twin], float]:
    """Twins of both sides by one recipe (one twin for one collection), and the score of a raw unit.

    `vectors` is the leading basis, (p, d); `levels` the largest int8 magnitude, None for float32;
    `columns` the width of an int8 block; `orders` the rows of both sides in an order to keep, by
    default that of what they leave out.
    """
    sides = [x] if y is None else [x, y]
    sample = np.concatenate([side[:: max(1, len(side) // 1024)][:1024] for side in sides])
    how = recipe(mixed(vectors) if levels else vectors, sample, levels)
    twins = [
        _make_twin(side, how, columns, workers, None if orders is None else orders[place])
        for place, side in enumerate(sides)
    ]
    return (twins[0], twins[-1]), how.unit


def _make_twin(x: FloatMatrix, how: Recipe, columns: int, workers: int, order: Places | None) -> Twin:
    n, p = len(x), len(how.vectors)
    # Like rows together: then the most that a tile leaves out is near to all, and few tiles err much.
    left_out, clipped = np.empty(n, np.float32), np.empty(n, bool)

    def look(maker: Maker, chunk: slice) -> None:
        left_out[chunk], clipped[chunk] = maker.look(x[chunk])

    chunks = [slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]
    pool.run(chunks, look, lambda: Maker(how), workers=workers)
    order = np.argsort(left_out, kind="stable") if order is None else order
    order = order[np.argsort(clipped[order], kind="stable")].astype(np.int32)
    if how.levels is None:
        blocks: list[Any] = [np.empty((n, p), np.float32)]
    else:
        blocks = [np.empty((p, min(columns, n - start)), np.int8) for start in range(0, n, columns)]
    twin = Twin(order, blocks, *(np.empty(n, np.float32) for _ in range(2)))
    width = n if how.levels is None else columns

    def fill(maker: Maker, chunk: slice) -> None:
        # A chunk of places lies within one block: both begin at multiples of the smaller width.
        block = blocks[chunk.start // width]
        start = chunk.start % width
        rows = x[order[chunk]]
        part = slice(start, start + len(rows))
        maker.fill(twin, chunk, rows, block[part] if how.levels is None else block[:, part])

    step = min(width, CHUNK)
    pieces = [
        slice(start, min(start + step, top + width, n))
        for top in range(0, n, width)
        for start in range(top, min(top + width, n), step)
    ]
    pool.run(pieces, fill, lambda: Maker(how), workers=workers)
    return twin


def twin_bytes(rows: int, d: int, levels: int | None) -> int:
    """The most that twins of so many rows can take: their coordinates, norms, order and its sorting."""
    return rows * ((d if levels else 3 * d) + 8 + 4 + 16)
