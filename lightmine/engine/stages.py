"""How many components to multiply, tile by tile: few if its pairs are far apart, many if they are near.

A choice only changes time: any stage is correct for any tile.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine.matmul import Fp32Product, Int8Product, least_seconds
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.quantization import RowOrder
from lightmine.engine.selection import ScoreBounds, Scores
from lightmine.engine.tiling import Plan
from lightmine.engine.tuning import Tuning


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which stage each part of the pair matrix begins with.

    Attributes
    ----------
    stages : int8 array of shape (row parts, column parts)
    rows, columns : int
        Size of a part: that of the largest tiles, so that a choice takes the same under every budget.
    """

    stages: NDArray[np.int8]
    rows: int
    columns: int

    def of(self, rows: slice, columns: slice) -> int:
        """The stage of a tile."""
        return int(self.stages[rows.start // self.rows, columns.start // self.columns])


@dataclasses.dataclass(frozen=True)
class _Sample:
    """Some rows of every part of one side, in rotated components.

    Attributes
    ----------
    count : int
        Rows of each part.
    components : list of arrays
        From one stage to the next.
    rest : list of arrays
        The norm that each row leaves out at each stage.
    inside : list of floats
        The root mean square norm until there.
    limits : array or None
        The bound of each row.
    """

    count: int
    components: list[FloatMatrix]
    rest: list[Scores]
    inside: list[float]
    limits: Scores | None

    @property
    def parts(self) -> int:
        return len(self.rest[0]) // self.count

    def of(self, parts: slice) -> slice:
        """The places of the rows of some parts."""
        stop = None if parts.stop is None else parts.stop * self.count
        return slice(parts.start * self.count, stop)


def choose_stages(
    x: FloatMatrix,
    y: FloatMatrix,
    limits: ScoreBounds,
    row_orders: tuple[RowOrder, RowOrder],
    vectors: FloatMatrix,
    qmax: int | None,
    plan: Plan,
    tuning: Tuning,
) -> tuple[list[int], Choice]:
    """How many leading components to multiply: up to three stages, and which of them each tile takes.

    For a sample of each tile's pairs, the bound at each number of components is compared with the lowest
    score that the pair needs now. Their difference is taken to be normally distributed, so its mean and
    spread tell how many pairs of the tile will survive, even if none of the sample does; if more of the
    sample do, their share is taken. The stages should need the least time for products and survivors.
    """
    d = int(x.shape[1])
    size = tuning.tile_rows, tuning.tile_columns
    if not _limited(limits):
        # Rows that have no bound yet would let every pair through, then less and less.
        return [d], Choice(np.zeros((-(-len(x) // size[0]), -(-len(y) // size[1])), np.int8), *size)
    stage_components = sorted({max(1, d * share // 24) for share in tuning.stage_shares})
    samples = [
        _sample(side, order, limit, vectors, stage_components, each, count)
        for side, order, limit, each, count in zip(
            (x, y), row_orders, (limits.left, limits.right), size, tuning.stage_sample, strict=True
        )
    ]
    seconds = _surviving(samples[0], samples[1], limits.min_score, qmax, plan, tuning)
    seconds *= np.float32(tuning.survivor_seconds)
    fixed, each = tuning.product_seconds or _product_seconds(d, qmax)
    seconds += (fixed + each * np.array(stage_components, np.float32))[:, None, None]
    rows = len(x) + (0 if plan.self_join else len(y))
    making = np.array(stage_components) * rows * tuning.compress_seconds * (1 + d / 200)
    making /= len(x) * len(y) * (0.5 if plan.self_join else 1.0)
    best = _fastest(seconds, making, stage_components, tuning.max_stages * d)
    return [stage_components[at] for at in best], Choice(seconds[best].argmin(axis=0).astype(np.int8), *size)


def _fastest(
    seconds: NDArray[np.float32], making: NDArray[np.float64], stage_components: list[int], most: float
) -> list[int]:
    """The one, two or three stages that take the least time together."""
    # A subset of the tiles is enough to choose by: every tile counts the same.
    few = seconds[:, np.isfinite(seconds[0])][:, :: max(1, seconds[0].size // 20_000)]
    choices = [
        list(chosen)
        for count in (1, 2, 3)
        for chosen in itertools.combinations(range(len(stage_components)), count)
        if sum(stage_components[at] for at in chosen) <= most
    ]
    return min(choices, key=lambda chosen: float(few[chosen].min(axis=0).mean() + making[chosen].sum()))


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
    components = [np.ascontiguousarray(rotated[:, start:stop]) for start, stop in edges]
    inside = np.cumsum([np.square(part).sum(axis=1) for part in components], axis=0)
    rest = list(np.sqrt(np.maximum(1 - inside, 0)).astype(np.float32))
    own = None if limits is None else limits[rows]
    return _Sample(count, components, rest, np.sqrt(inside.mean(axis=1)).tolist(), own)


def _surviving(
    left: _Sample, right: _Sample, min_score: np.float32, qmax: int | None, plan: Plan, tuning: Tuning
) -> NDArray[np.float32]:
    """The share of each part's pairs that is expected to survive each stage; infinite if there is no pair."""
    # Rounding to int8 raises the bound by about this much, see `lightmine.engine.quantization`.
    error = [0.0 if qmax is None else 2.4 / qmax * norm for norm in left.inside]
    share = np.full((len(left.components), left.parts, right.parts), np.inf, np.float32)
    pairs = left.count * right.count

    def look(product: Fp32Product, part: int) -> None:
        first = part * tuning.tile_rows // tuning.tile_columns if plan.self_join else 0
        rows, columns = left.of(slice(part, part + 1)), right.of(slice(first, None))
        limit = _limits_of(min_score, *(side.limits if side.limits is None else side.limits[places]
                                    for side, places in ((left, rows), (right, columns))))  # fmt: skip
        bounds = np.broadcast_to(-limit, (left.count, (right.parts - first) * right.count)).astype(np.float32)
        over = np.empty_like(bounds)
        each = over.reshape(left.count, -1, right.count)
        for stage in range(len(left.components)):
            bounds += product(left.components[stage][rows], right.components[stage][columns])
            np.multiply(left.rest[stage][rows, None], right.rest[stage][columns], out=over)
            over += bounds
            over += error[stage]
            mean = each.sum(axis=2).sum(axis=0) / pairs
            spread = np.sqrt(np.maximum(np.vecdot(each, each).sum(axis=0) / pairs - mean**2, 1e-12))
            seen = np.count_nonzero(each >= 0, axis=2).sum(axis=0) / np.float32(pairs)
            share[stage, part, first:] = np.maximum(seen, _normal(mean / spread))

    size = left.count * len(right.rest[0])
    pool.run(range(left.parts), look, lambda: Fp32Product(size=size), workers=plan.workers)
    return share


def _limited(limits: ScoreBounds) -> bool:
    """Whether every pair needs some score."""
    ends = [end for end in (limits.left, limits.right) if end is not None]
    return bool(limits.min_score > -np.inf or (ends and all((end > -np.inf).all() for end in ends)))


def _limits_of(min_score: np.float32, left: Scores | None, right: Scores | None) -> Any:
    """The lowest score that each pair of some rows needs: min_score, and the lower bound of its ends."""
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
    """What a pair's raw score takes here: a fixed part, and a part for each component."""
    rows, columns = 256, 512
    product = Fp32Product(size=rows * columns) if qmax is None else Int8Product(size=rows * columns)
    times = []
    tried = max(8, d // 4), max(16, d)
    for width in tried:
        if qmax is None:
            a, b = np.ones((rows, width), np.float32), np.ones((columns, width), np.float32)
        else:
            a, b = np.ones((rows, width), np.uint8), np.ones((width, columns), np.int8)
        times.append(least_seconds(lambda a=a, b=b: product(a, b)) / (rows * columns))
    each = max((times[1] - times[0]) / (tried[1] - tried[0]), 1e-14)
    return max(times[0] - each * tried[0], 0.0), each
