"""Row clustering: similar rows get neighboring places, and rows get bounds from likely neighbors.

Neither decides the answer: any order of rows is correct, and a row's k-th best score among some others
is a lower bound of its k-th best score among all.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine.matmul import Fp32Product
from lightmine.engine.matrix import FloatMatrix, score_error
from lightmine.engine.quantization import RowOrder
from lightmine.engine.selection import Candidates, Scores
from lightmine.engine.tuning import Tuning


@dataclasses.dataclass(frozen=True)
class ClusteredRows:
    """A matrix's rows, those of one centroid after another, and the centroid at each place, ascending."""

    order: NDArray[np.int32]
    centroids: NDArray[np.int16]


def cluster_rows(
    x: FloatMatrix, y: FloatMatrix | None, *, workers: int, tuning: Tuning
) -> tuple[ClusteredRows, ClusteredRows]:
    """Orders of both sides in which rows of the same centroid stand together, near centroids in sequence.

    Centroids are means of sampled rows, by some rounds of spherical k-means. So all pairs of a tile are
    about equally far apart.
    """
    sides, most = [x] if y is None else [x, y], tuning.centroid_rows
    sample = np.concatenate([side[:: max(1, len(sides) * len(side) // most)] for side in sides])
    step = max(1, len(sample) // tuning.centroids)
    centroids = np.ascontiguousarray(sample[::step][: tuning.centroids])
    block = tuning.centroid_block
    for _ in range(tuning.centroid_rounds):
        centroids = _means(sample, _nearest(sample, centroids, workers, block), centroids)
    centroids = np.ascontiguousarray(centroids[_chain(centroids @ centroids.T)])
    clusters = []
    for side in sides:
        key = _nearest(side, centroids, workers, block)
        order = np.argsort(key, kind="stable").astype(np.int32)
        clusters.append(ClusteredRows(order, key[order]))
    return clusters[0], clusters[-1]


def _nearest(x: FloatMatrix, centroids: FloatMatrix, workers: int, block: int) -> NDArray[np.int16]:
    """The centroid that each row is nearest to."""
    key = np.empty(len(x), np.int16)

    def nearest(product: Fp32Product, rows: slice) -> None:
        key[rows] = product(x[rows], centroids).argmax(axis=1)

    blocks = [slice(start, min(start + block, len(x))) for start in range(0, len(x), block)]
    pool.run(blocks, nearest, lambda: Fp32Product(size=block * len(centroids)), workers=workers)
    return key


def _means(x: FloatMatrix, key: NDArray[np.int16], centroids: FloatMatrix) -> FloatMatrix:
    """Unit means of the rows of each centroid; one without rows, or whose rows cancel, stays as it is."""
    order = np.argsort(key, kind="stable")
    starts = np.searchsorted(key[order], np.arange(len(centroids)))
    ends = np.r_[starts[1:], len(x)]
    sums = np.array([x[order[start:end]].sum(axis=0) for start, end in zip(starts, ends, strict=True)])
    norms = np.sqrt(np.vecdot(sums, sums))[:, None]
    return np.where(norms > 1e-3, sums / np.maximum(norms, 1e-3), centroids).astype(np.float32)


def in_groups(cluster: ClusteredRows, limits: Scores | None, min_score: np.float32, count: int) -> RowOrder:
    """The same order within groups of rows that have similar bounds, lowest first.

    A tile is compared with the lowest bound of its rows and columns. With similar bounds in it, that
    rejects nearly as much as each pair's own bound would.
    """
    if limits is None:
        return cluster.order
    own = np.maximum(limits, min_score)[cluster.order]
    edges = np.quantile(own, np.linspace(0, 1, count + 1)[1:-1], method="lower")
    return cluster.order[np.argsort(np.searchsorted(edges, own).astype(np.int8), kind="stable")]


def _chain(scores: FloatMatrix) -> list[int]:
    """An order of centroids: after each one the nearest of those that are left."""
    chain = [0]
    scores[:, 0] = -np.inf
    while len(chain) < len(scores):
        chain.append(int(scores[chain[-1]].argmax()))
        scores[:, chain[-1]] = -np.inf
    return chain


def warm_start_bounds(
    x: FloatMatrix,
    y: FloatMatrix,
    candidates: Candidates,
    clusters: tuple[ClusteredRows, ClusteredRows],
    workers: int,
    tuning: Tuning,
) -> None:
    """Raise each row's bound to its k-th best score among some rows that are likely to be near."""
    limits, spec = candidates.limits, candidates.spec
    left, right = _Side(x, clusters[0]), _Side(y, clusters[1])
    if limits.left is not None and spec.k_left:
        # Within one collection a row meets itself among the likely neighbors, as its best score.
        wanted = spec.k_left + spec.self_join
        _WarmStart(left, right, limits.left, wanted, candidates, tuning).run(workers)
    if limits.right is not None and spec.k_right and not spec.self_join:
        _WarmStart(right, left, limits.right, spec.k_right, candidates, tuning).run(workers)


@dataclasses.dataclass(frozen=True)
class _Side:
    rows: FloatMatrix
    cluster: ClusteredRows


class _WarmStart:
    """Raises the bounds of one side's rows by their products with likely neighbors of the other side."""

    def __init__(
        self, side: _Side, others: _Side, limits: Scores, wanted: int, candidates: Candidates, tuning: Tuning
    ) -> None:
        self._side, self._others, self._limits, self._wanted = side, others, limits, wanted
        self._min_score, self._max_score = candidates.limits.min_score, candidates.spec.max_score
        self._tuning, self._block = tuning, tuning.tile_rows
        self._window = min(max(tuning.warm_start_columns, 2 * wanted), len(others.rows))
        self._slack = np.float32(score_error(side.rows.shape[1]))

    def run(self, workers: int) -> None:
        """Try some blocks; do the others only if enough of the tried rows got a bound over min_score."""
        wanted, most = self._wanted, self._tuning.warm_start_columns
        if len(self._others.rows) < wanted or 2 * wanted > 4 * most:
            return
        starts, order = range(0, len(self._side.rows), self._block), self._side.cluster.order
        tools = functools.partial(Fp32Product, size=self._block * self._window)
        tried = starts[:: len(starts) // self._tuning.warm_start_trials or 1]
        pool.run(tried, self._raise, tools, workers=workers)
        rows = np.concatenate([order[start : start + self._block] for start in tried])
        if np.mean(self._limits[rows] > self._min_score) > self._tuning.warm_start_share:
            pool.run(sorted({*starts} - {*tried}), self._raise, tools, workers=workers)

    def _raise(self, product: Fp32Product, start: int) -> None:
        own = self._side.cluster.order[start : start + self._block]
        first = self._first_neighbor(start, len(own))
        others = self._others.cluster.order[first : first + self._window]
        raw = product(self._side.rows[own], self._others.rows[others])
        if self._max_score < np.inf:
            # What may be over max_score does not count.
            np.copyto(raw, -np.inf, where=raw > self._max_score - self._slack)
        raw.partition(self._window - self._wanted, axis=1)
        # Scores are clipped to 1, so no bound may be over it: norms may be off by more than the slack.
        self._limits[own] = np.minimum(raw[:, self._window - self._wanted] - self._slack, 1)

    def _first_neighbor(self, start: int, count: int) -> int:
        """Where the likely neighbors of a block begin in the order of the other side."""
        cluster, near = self._side.cluster, self._others.cluster
        if near is cluster:
            middle = start + count // 2
        else:
            # The middle of the rows that have the same centroid as the middle of the block.
            centroid = cluster.centroids[start + count // 2]
            ends = (np.searchsorted(near.centroids, centroid, side) for side in ("left", "right"))
            middle = sum(map(int, ends)) // 2
        return min(max(0, middle - self._window // 2), len(self._others.rows) - self._window)


def cluster_bytes(d: int, tuning: Tuning) -> int:
    """What the choice of centroids allocates for a while, before the tiles start."""
    return 8 * tuning.centroid_rows * d
