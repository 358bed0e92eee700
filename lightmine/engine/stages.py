"""How many coordinates to multiply, tile by tile: few where pairs are far apart, many where they are near.

A choice only changes time: any rung is right for any tile.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine import tiling as tiles
from lightmine.engine.bounds import Scores
from lightmine.engine.matmul import Fp32Product, Int8Product, least_seconds
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.quantization import RowOrder
from lightmine.engine.selection import ScoreBounds
from lightmine.engine.tiling import Plan

# Depths to choose from, in 24ths of all coordinates, and the most that all rungs together may have.
SHARES, MAX_STAGES = (3, 4, 6, 8, 10, 12, 16, 20, 24), 1.5
# Rows and columns of each tile that are sampled to choose its depth.
SAMPLE = 8, 32
# A survivor's way through index, bound and float32 score, in seconds (measured: 0.2 to 0.35 microseconds).
SURVIVOR_SECONDS = 0.3e-6
# Making one coordinate of one row of a twin; turning it takes as much again for each 200 dimensions.
MAKING_SECONDS = 3e-9


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which rung judges which part of the pair matrix.

    Attributes
    ----------
    rungs : int8 array of shape (row parts, column parts)
    rows, columns : int
        Size of a part: that of the largest tiles, so that a choice takes the same under every budget.
    """

    stages: NDArray[np.int8]
    rows: int
    columns: int

    def of(self, rows: slice, columns: slice) -> int:
        """The rung of a tile."""
        return int(self.stages[rows.start // self.rows, columns.start // self.columns])


@dataclasses.dataclass(frozen=True)
class _Sample:
    """Some rows of every part of one side, in turned coordinates.

    Attributes
    ----------
    count : int
        Rows of each part.
    coordinates : list of arrays
        From one depth to the next.
    rest : list of arrays
        The norm that each row leaves out after each depth.
    inside : list of floats
        The usual norm until there.
    limits : array or None
        What each row's pairs have to beat.
    """

    count: int
    coordinates: list[FloatMatrix]
    rest: list[Scores]
    inside: list[float]
    limits: Scores | None

    @property
    def parts(self) -> int:
        return len(self.rest[0]) // self.count

    def of(self, parts: slice) -> slice:
        """Where the rows of some parts stand."""
        stop = None if parts.stop is None else parts.stop * self.count
        return slice(parts.start * self.count, stop)


def choose_stages(
    x: FloatMatrix,
    y: FloatMatrix,
    limits: ScoreBounds,
    orders: tuple[RowOrder, RowOrder],
    vectors: FloatMatrix,
    qmax: int | None,
    plan: Plan,
) -> tuple[list[int], Choice]:
    """How many leading coordinates to multiply: up to three depths, and which of them each tile takes.

    For a sample of each tile's pairs the bound at some depth is compared with the limit that the pair
    meets now. Their difference is taken for normal, so mean and spread tell how many pairs of the tile
    will survive, even where none of the sample does; where more of them do, that is believed. Product
    and survivors together should take least.
    """
    d = int(x.shape[1])
    size = tiles.ROWS, tiles.COLUMNS
    shape = -(-len(x) // size[0]), -(-len(y) // size[1])
    if not _limited(limits):
        # Rows that do not have a limit yet would let everything through, then less and less.
        return [d], Choice(np.zeros(shape, np.int8), *size)
    stage_components = sorted({max(1, d * share // 24) for share in SHARES})
    samples = [
        _sample(side, order, limit, vectors, stage_components, each, count)
        for side, order, limit, each, count in zip(
            (x, y), orders, (limits.left, limits.right), size, SAMPLE, strict=True
        )
    ]
    survivors = _surviving(samples[0], samples[1], limits.min_score, stage_components, qmax, plan)
    fixed, each = _product_seconds(d, qmax)
    seconds = survivors
    seconds *= np.float32(SURVIVOR_SECONDS)
    seconds += (fixed + each * np.array(stage_components, np.float32))[:, None, None]
    making = (
        np.array(stage_components)
        * (len(x) + (0 if plan.self_join else len(y)))
        * MAKING_SECONDS
        * (1 + d / 200)
    )
    making /= len(x) * len(y) * (0.5 if plan.self_join else 1.0)
    # A subset will do to choose by: every tile weighs the same.
    few = seconds[:, np.isfinite(seconds[0])][:, :: max(1, seconds[0].size // 20_000)]
    ladders = [
        list(ladder)
        for count in (1, 2, 3)
        for ladder in itertools.combinations(range(len(stage_components)), count)
        if sum(stage_components[bound_stage] for bound_stage in ladder) <= MAX_STAGES * d
    ]
    best = min(ladders, key=lambda ladder: float(few[ladder].min(axis=0).mean() + making[ladder].sum()))
    return [stage_components[bound_stage] for bound_stage in best], Choice(
        seconds[best].argmin(axis=0).astype(np.int8), *size
    )


def _sample(
    side: FloatMatrix,
    order: RowOrder,
    limits: Scores | None,
    vectors: FloatMatrix,
    stage_components: list[int],
    size: int,
    count: int,
) -> _Sample:
    """`count` rows of each part of `size`, evenly spread; some of a short part more than once."""
    starts = np.arange(0, len(side), size)
    lengths = np.minimum(size, len(side) - starts)
    rows = order[(starts[:, None] + np.arange(count) * lengths[:, None] // count).ravel()]
    rotated = side[rows] @ vectors.T
    edges = zip([0, *stage_components], stage_components, strict=False)
    coordinates = [np.ascontiguousarray(rotated[:, start:stop]) for start, stop in edges]
    inside = np.cumsum([np.square(part).sum(axis=1) for part in coordinates], axis=0)
    rest = list(np.sqrt(np.maximum(1 - inside, 0)).astype(np.float32))
    own = None if limits is None else limits[rows]
    return _Sample(count, coordinates, rest, np.sqrt(inside.mean(axis=1)).tolist(), own)


def _surviving(
    left: _Sample,
    right: _Sample,
    min_score: np.float32,
    stage_components: list[int],
    qmax: int | None,
    plan: Plan,
) -> NDArray[np.float32]:
    """The share of each part's pairs that is expected to survive each depth; infinite where no pair is."""
    # Rounding a row of p coordinates to int8 costs its bound about this much, see `compressed`.
    error = [0.0 if qmax is None else 2.4 / qmax * norm for norm in left.inside]
    share = np.full((len(stage_components), left.parts, right.parts), np.inf, np.float32)
    pairs = left.count * right.count

    def look(product: Fp32Product, part: int) -> None:
        first = part * tiles.ROWS // tiles.COLUMNS if plan.self_join else 0
        rows, columns = left.of(slice(part, part + 1)), right.of(slice(first, None))
        limit = _limits_of(min_score, *(side.limits if side.limits is None else side.limits[places]
                                    for side, places in ((left, rows), (right, columns))))  # fmt: skip
        bounds = np.broadcast_to(-limit, (left.count, (right.parts - first) * right.count)).astype(np.float32)
        over = np.empty_like(bounds)
        each = over.reshape(left.count, -1, right.count)
        for n_components in range(len(stage_components)):
            bounds += product(left.coordinates[n_components][rows], right.coordinates[n_components][columns])
            np.multiply(left.rest[n_components][rows, None], right.rest[n_components][columns], out=over)
            over += bounds
            over += error[n_components]
            mean = each.sum(axis=2).sum(axis=0) / pairs
            spread = np.sqrt(np.maximum(np.vecdot(each, each).sum(axis=0) / pairs - mean**2, 1e-12))
            seen = np.count_nonzero(each >= 0, axis=2).sum(axis=0) / np.float32(pairs)
            share[n_components, part, first:] = np.maximum(seen, _normal(mean / spread))

    size = left.count * len(right.rest[0])
    pool.run(range(left.parts), look, lambda: Fp32Product(size=size), workers=plan.workers)
    return share


def _limited(limits: ScoreBounds) -> bool:
    """Whether every pair meets some limit."""
    ends = [end for end in (limits.left, limits.right) if end is not None]
    return bool(limits.min_score > -np.inf or (ends and all((end > -np.inf).all() for end in ends)))


def _limits_of(min_score: np.float32, left: Scores | None, right: Scores | None) -> Any:
    """The limit that each pair of some rows meets: the floor, and the lower limit of its ends."""
    if left is not None and right is not None:
        return np.maximum(min_score, np.minimum(left[:, None], right))
    if left is not None:
        return np.maximum(min_score, left[:, None])
    return min_score if right is None else np.maximum(min_score, right)


def _normal(deviations: Any) -> Any:
    """About the standard normal distribution function (within 2e-4: Page 1977, Applied Statistics 26)."""
    z = np.clip(deviations, -8, 8)
    return 1 / (1 + np.exp(z * (-1.5976 - 0.070565992 * z * z)))


def _product_seconds(d: int, qmax: int | None) -> tuple[float, float]:
    """What a pair's raw score takes here: a fixed part, and a part for each coordinate."""
    rows, columns = 256, 512
    product = Fp32Product(size=rows * columns) if qmax is None else Int8Product(size=rows * columns)
    times = []
    stage_components = max(8, d // 4), max(16, d)
    for n_components in stage_components:
        if qmax is None:
            a, b = np.ones((rows, n_components), np.float32), np.ones((columns, n_components), np.float32)
        else:
            a, b = np.ones((rows, n_components), np.uint8), np.ones((n_components, columns), np.int8)
        times.append(least_seconds(lambda a=a, b=b: product(a, b)) / (rows * columns))
    each = max((times[1] - times[0]) / (stage_components[1] - stage_components[0]), 1e-14)
    return max(times[0] - each * stage_components[0], 0.0), each
