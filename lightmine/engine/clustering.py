"""Orders of rows that put like rows together, and the limits that rows get from likely neighbours.

Neither decides the answer: any order is right, and a row's k-th best score among some others is a sound
limit.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine import tiling as tiles
from lightmine.engine.bounds import Scores
from lightmine.engine.matmul import Fp32Product
from lightmine.engine.matrix import FloatMatrix, score_error
from lightmine.engine.quantization import RowOrder
from lightmine.engine.selection import Candidates, JoinSpec

# Pivots that rows are put next to, the rows they are means of, and rounds of k-means.
CENTROIDS, CENTROID_ROWS, CENTROID_ROUNDS = 256, 8192, 3
# Likely neighbours that every row is first compared with where rows have limits of their own.
PARTNERS = 1536
# Blocks of rows that are tried first, and the share of their rows that must have got over the floor.
TRIED, NEEDED = 8, 0.05
# Bands of rows with like limits.
BANDS = 10


@dataclasses.dataclass(frozen=True)
class ClusteredRows:
    """A matrix's row at each place, and the pivot that each place is nearest to, in rising order."""

    places: NDArray[np.int32]
    centroids: NDArray[np.int16]


def cluster_rows(
    x: FloatMatrix, y: FloatMatrix | None, *, workers: int
) -> tuple[ClusteredRows, ClusteredRows]:
    """Orders of both sides that put rows near to the same pivots together, near pivots in sequence.

    Pivots are means of sampled rows, by some rounds of spherical k-means: whether a tile's pairs are
    far apart or near is then much the same for all of them.
    """
    sides = [x] if y is None else [x, y]
    sample = np.concatenate([side[:: max(1, len(sides) * len(side) // CENTROID_ROWS)] for side in sides])
    centroids = np.ascontiguousarray(sample[:: max(1, len(sample) // CENTROIDS)][:CENTROIDS])
    for _ in range(CENTROID_ROUNDS):
        centroids = _means(sample, _nearest(sample, centroids, workers), centroids)
    centroids = np.ascontiguousarray(centroids[_chain(centroids @ centroids.T)])
    orders = []
    for side in sides:
        key = _nearest(side, centroids, workers)
        places = np.argsort(key, kind="stable").astype(np.int32)
        orders.append(ClusteredRows(places, key[places]))
    return orders[0], orders[-1]


def _nearest(x: FloatMatrix, centroids: FloatMatrix, workers: int) -> NDArray[np.int16]:
    """The pivot that each row is nearest to."""
    key = np.empty(len(x), np.int16)

    def nearest(product: Fp32Product, rows: slice) -> None:
        key[rows] = product(x[rows], centroids).argmax(axis=1)

    blocks = [slice(start, min(start + 1024, len(x))) for start in range(0, len(x), 1024)]
    pool.run(blocks, nearest, lambda: Fp32Product(size=1024 * len(centroids)), workers=workers)
    return key


def _means(x: FloatMatrix, key: NDArray[np.int16], centroids: FloatMatrix) -> FloatMatrix:
    """Unit means of the rows of each pivot; a pivot without rows, or whose rows cancel, stays."""
    order = np.argsort(key, kind="stable")
    starts = np.searchsorted(key[order], np.arange(len(centroids)))
    ends = np.r_[starts[1:], len(x)]
    sums = np.array([x[order[start:end]].sum(axis=0) for start, end in zip(starts, ends, strict=True)])
    norms = np.sqrt(np.vecdot(sums, sums))[:, None]
    return np.where(norms > 1e-3, sums / np.maximum(norms, 1e-3), centroids).astype(np.float32)


def in_bands(order: ClusteredRows, limits: Scores | None, min_score: np.float32) -> RowOrder:
    """The same order within bands of rows that have like limits, lowest first.

    A tile is compared with the lowest limit of its rows and columns: with like limits in it, that
    rejects nearly as much as every pair's own would.
    """
    if limits is None:
        return order.places
    own = np.maximum(limits, min_score)[order.places]
    edges = np.quantile(own, np.linspace(0, 1, BANDS + 1)[1:-1], method="lower")
    return order.places[np.argsort(np.searchsorted(edges, own).astype(np.int8), kind="stable")]


def _chain(scores: FloatMatrix) -> list[int]:
    """From each row to the nearest that was not visited yet."""
    chain = [0]
    scores[:, 0] = -np.inf
    while len(chain) < len(scores):
        chain.append(int(scores[chain[-1]].argmax()))
        scores[:, chain[-1]] = -np.inf
    return chain


def warm_start_bounds(
    x: FloatMatrix,
    y: FloatMatrix,
    rule: JoinSpec,
    candidates: Candidates,
    orders: tuple[ClusteredRows, ClusteredRows],
    workers: int,
) -> None:
    """Raise each row's limit to its k-th best score among some rows that are likely to be near."""
    limits, (left, right) = candidates.limits, orders
    if limits.left is not None and rule.k_left:
        # Within one collection a row meets itself among its partners: its best score says nothing.
        wanted = rule.k_left + rule.self_join
        _seed(limits.left, (x, left), (y, right), wanted, limits.min_score, rule.max_score, workers)
    if limits.right is not None and rule.k_right and not rule.self_join:
        _seed(limits.right, (y, right), (x, left), rule.k_right, limits.min_score, rule.max_score, workers)


def _seed(
    limits: Scores,
    side: tuple[FloatMatrix, ClusteredRows],
    others: tuple[FloatMatrix, ClusteredRows],
    wanted: int,
    min_score: np.float32,
    max_score: float,
    workers: int,
) -> None:
    """One side's limits. Some blocks tell whether they get over the floor at all; if not, that will do."""
    (rows, order), (partners, near) = side, others
    window = max(PARTNERS, 2 * wanted)
    if len(partners) < wanted or window > 4 * PARTNERS:
        return
    window = min(window, len(partners))
    block = tiles.ROWS
    slack = np.float32(score_error(rows.shape[1]))

    def seed(product: Fp32Product, top: int) -> None:
        own = order.places[top : top + block]
        # The middle of the partners that share a pivot with the middle of the block.
        pivot = order.centroids[top + len(own) // 2]
        middle = (
            int(np.searchsorted(near.centroids, pivot) + np.searchsorted(near.centroids, pivot, "right")) // 2
        )
        if near is order:
            middle = top + len(own) // 2
        start = min(max(0, middle - window // 2), len(partners) - window)
        raw = product(rows[own], partners[near.places[start : start + window]])
        if max_score < np.inf:
            # What may be over it counts for nothing.
            np.copyto(raw, -np.inf, where=raw > max_score - slack)
        raw.partition(window - wanted, axis=1)
        # Scores are cut to 1, so no limit may be over it: the slack is less than norms may be off by.
        limits[own] = np.minimum(raw[:, window - wanted] - slack, 1)

    tops = range(0, len(rows), block)
    tools = functools.partial(Fp32Product, size=block * window)
    tried = tops[:: len(tops) // TRIED or 1]
    pool.run(tried, seed, tools, workers=workers)
    looked_at = np.concatenate([order.places[top : top + block] for top in tried])
    if np.mean(limits[looked_at] > min_score) > NEEDED:
        pool.run(sorted({*tops} - {*tried}), seed, tools, workers=workers)


def order_bytes(d: int) -> int:
    """What choosing pivots takes, for a while, before the tiles start."""
    return 8 * CENTROID_ROWS * d
