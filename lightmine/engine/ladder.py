"""How many coordinates to multiply, tile by tile: few where pairs are far apart, many where they are near.

A choice only changes time: any rung is right for any tile.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine.kernels import Scores
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.products import Fp32Product, Int8Product, least_seconds
from lightmine.engine.tiles import Plan
from lightmine.engine.topk import Limits, Rule
from lightmine.engine.twins import Places

# Depths to choose from, in 24ths of all coordinates, and the most that all rungs together may have.
SHARES, LADDER = (3, 4, 6, 8, 10, 12, 16, 20, 24), 1.5
# Rows and columns of each tile that are sampled to choose its depth.
SAMPLE = 8, 32
# A survivor's way through index, bound and float32 score, in seconds (measured: 0.2 to 0.35 microseconds).
SURVIVOR_SECONDS = 0.3e-6
# Making one coordinate of one row of a twin; turning it takes as much again for each 200 dimensions.
MAKING_SECONDS = 3e-9

Choice = NDArray[np.int8]


def choose_rungs(
    x: FloatMatrix,
    y: FloatMatrix,
    rule: Rule,
    limits: Limits,
    orders: tuple[Places, Places],
    vectors: FloatMatrix,
    levels: int | None,
    plan: Plan,
) -> tuple[list[int], Choice]:
    """How many leading coordinates to multiply: up to three depths, and which of them each tile takes.

    For a sample of each tile's pairs the bound at some depth is compared with the limit that the pair
    meets now. Their difference is taken for normal, so mean and spread tell how many pairs of the tile
    will survive, even where none of the sample does; where more of them do, that is believed. Product
    and survivors together should take least.
    """
    d = int(x.shape[1])
    depths = sorted({max(1, d * share // 24) for share in SHARES})
    if not _limited(limits):
        # Rows that do not have a limit yet would let everything through, then less and less.
        return [d], np.zeros((-(-rule.n // plan.rows), -(-rule.m // plan.columns)), np.int8)
    seconds = _tile_seconds(x, y, rule, limits, orders, vectors, levels, plan, depths)
    wanted = seconds[:, np.isfinite(seconds[0])]
    making = np.array(depths) * ((rule.n + rule.m) * (MAKING_SECONDS + d * MAKING_SECONDS / 200))
    making /= rule.n * rule.m * (0.5 if plan.upper else 1.0)
    # A subset will do to choose by: every tile weighs the same.
    few = wanted[:, :: max(1, wanted.shape[1] // 20_000)]
    ladders = [
        list(ladder)
        for count in (1, 2, 3)
        for ladder in itertools.combinations(range(len(depths)), count)
        if sum(depths[rung] for rung in ladder) <= LADDER * d
    ]
    best = min(ladders, key=lambda ladder: float(few[ladder].min(axis=0).mean() + making[ladder].sum()))
    return [depths[rung] for rung in best], seconds[best].argmin(axis=0).astype(np.int8)


def _tile_seconds(
    x: FloatMatrix,
    y: FloatMatrix,
    rule: Rule,
    limits: Limits,
    orders: tuple[Places, Places],
    vectors: FloatMatrix,
    levels: int | None,
    plan: Plan,
    depths: list[int],
) -> NDArray[np.float32]:
    """What a pair of each tile is expected to take at each depth; infinite where there is no tile."""
    d = x.shape[1]
    places = [_sample_places(len(side), *shape)
              for side, shape in ((x, (plan.rows, SAMPLE[0])), (y, (plan.columns, SAMPLE[1])))]  # fmt: skip
    rows = [order[place] for order, place in zip(orders, places, strict=True)]
    parts = [_parts(side[row] @ vectors.T, depths) for side, row in zip((x, y), rows, strict=True)]
    ends = [None if limit is None else limit[row]
            for limit, row in zip((limits.left, limits.right), rows, strict=True)]  # fmt: skip
    fixed, each = _product_seconds(d, levels)
    # Rounding a row of p coordinates to int8 costs its bound about this much, see `twins`.
    error = [0.0 if levels is None else 2.4 / levels * norm for norm in parts[0][2]]
    blocks, width = len(rows[0]) // SAMPLE[0], len(rows[1]) // SAMPLE[1]
    seconds = np.full((len(depths), blocks, width), np.inf, np.float32)

    pairs = SAMPLE[0] * SAMPLE[1]

    def look(product: Fp32Product, block: int) -> None:
        first = block * plan.rows // plan.columns if plan.upper else 0
        left = slice(block * SAMPLE[0], (block + 1) * SAMPLE[0])
        right = slice(first * SAMPLE[1], None)
        own = (end if end is None else end[part] for end, part in zip(ends, (left, right), strict=True))
        limit = _limits_of(limits.floor, *own)
        bounds = np.broadcast_to(-limit, (SAMPLE[0], (width - first) * SAMPLE[1])).astype(np.float32)
        over = np.empty_like(bounds)
        tiles = over.reshape(SAMPLE[0], -1, SAMPLE[1])
        for depth, (p, a, rest, b, other) in enumerate(
            zip(depths, *parts[0][:2], *parts[1][:2], strict=True)
        ):
            bounds += product(a[left], b[right])
            np.multiply(rest[left, None], other[right], out=over)
            over += bounds
            over += error[depth]
            mean = tiles.sum(axis=2).sum(axis=0) / pairs
            spread = np.sqrt(np.maximum(np.vecdot(tiles, tiles).sum(axis=0) / pairs - mean**2, 1e-12))
            seen = np.count_nonzero(tiles >= 0, axis=2).sum(axis=0) / np.float32(pairs)
            survive = np.maximum(seen, _normal(mean / spread))
            seconds[depth, block, first:] = fixed + each * p + survive * SURVIVOR_SECONDS

    size = SAMPLE[0] * len(rows[1])
    pool.run(range(blocks), look, lambda: Fp32Product(size=size), workers=plan.workers)
    return seconds


def _sample_places(n: int, size: int, count: int) -> Places:
    """`count` places of each block of `size`, evenly spread; some of a short block more than once."""
    starts = np.arange(0, n, size)
    lengths = np.minimum(size, n - starts)
    return (starts[:, None] + np.arange(count) * lengths[:, None] // count).ravel()


def _parts(turned: FloatMatrix, depths: list[int]) -> tuple[list[FloatMatrix], list[Scores], list[float]]:
    """Coordinates from one depth to the next; norms left out after each; the usual norm until there."""
    edges = zip([0, *depths], depths, strict=False)
    parts = [np.ascontiguousarray(turned[:, start:stop]) for start, stop in edges]
    inside = np.cumsum([np.square(part).sum(axis=1) for part in parts], axis=0)
    return (
        parts,
        list(np.sqrt(np.maximum(1 - inside, 0)).astype(np.float32)),
        np.sqrt(inside.mean(axis=1)).tolist(),
    )


def _limited(limits: Limits) -> bool:
    """Whether every pair meets some limit."""
    ends = [end for end in (limits.left, limits.right) if end is not None]
    return bool(limits.floor > -np.inf or (ends and all((end > -np.inf).all() for end in ends)))


def _limits_of(floor: np.float32, left: Scores | None, right: Scores | None) -> Any:
    """The limit that each pair of some rows meets: the floor, and the lower limit of its ends."""
    if left is not None and right is not None:
        return np.maximum(floor, np.minimum(left[:, None], right))
    if left is not None:
        return np.maximum(floor, left[:, None])
    return floor if right is None else np.maximum(floor, right)


def _normal(deviations: Any) -> Any:
    """About the standard normal distribution function (within 2e-4: Page 1977, Applied Statistics 26)."""
    z = np.clip(deviations, -8, 8)
    return 1 / (1 + np.exp(z * (-1.5976 - 0.070565992 * z * z)))


def _product_seconds(d: int, levels: int | None) -> tuple[float, float]:
    """What a pair's raw score takes here: a fixed part, and a part for each coordinate."""
    rows, columns = 256, 512
    product = Fp32Product(size=rows * columns) if levels is None else Int8Product(size=rows * columns)
    times = []
    depths = max(8, d // 4), max(16, d)
    for depth in depths:
        if levels is None:
            a, b = np.ones((rows, depth), np.float32), np.ones((columns, depth), np.float32)
        else:
            a, b = np.ones((rows, depth), np.uint8), np.ones((depth, columns), np.int8)
        times.append(least_seconds(lambda a=a, b=b: product(a, b)) / (rows * columns))
    each = max((times[1] - times[0]) / (depths[1] - depths[0]), 1e-14)
    return max(times[0] - each * depths[0], 0.0), each
