"""What a sample of pairs tells before the tiles start: limits to begin with, and how many coordinates pay.

Nothing here decides the answer. A row's k-th best among some partners is a sound limit; a floor that is
guessed is checked by the caller once the answer is there; a depth only changes time.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import pool
from lightmine.engine.kernels import Kernel, Scorer, Scores
from lightmine.engine.matrix import FloatMatrix, product_error
from lightmine.engine.products import Fp32Product, Int8Product, least_seconds
from lightmine.engine.tiles import COLUMNS, ROWS
from lightmine.engine.topk import Candidates, Rule, top_k
from lightmine.engine.twins import BASIS_ROWS, Places, itself

# Partners that every row is first compared with where rows have limits of their own, and the rows by
# whose nearness likely partners are found.
PARTNERS, PIVOTS = 768, 256
# Rows whose lists stand for everybody's when a floor is guessed.
GUESS_ROWS = 256
# Pairs that a sample should find over the floor that is guessed, and the most rows a side that it may take.
HITS, LARGEST_SIDE = 400, 4096
# A survivor's way through index, bound and float32 score, in seconds (measured: 0.3 to 0.5 microseconds).
SURVIVOR_SECONDS = 0.4e-6


@dataclasses.dataclass(frozen=True)
class Order:
    """A matrix's row at each place, and the pivot that each place is nearest to, in rising order."""

    places: NDArray[np.int32]
    pivots: NDArray[np.int16]


def guess_floor(x: FloatMatrix, rule: Rule, *, budget: int, workers: int) -> float | None:
    """A score that somewhat more pairs than `max_pairs` should reach and be listed; one collection.

    A sample of pairs tells how many reach a score, the lists of some rows among all what share of
    those is listed. The caller mines with the guess as the floor and, should the answer come out short,
    again without. None where there is nothing to gain, or the sample is too small to go by.
    """
    pairs = rule.n * (rule.n - 1) / 2
    if not rule.one_collection or rule.max_pairs is None:
        return None
    if rule.n < 4 * GUESS_ROWS or 16 * rule.max_pairs > pairs:
        return None
    scores, share = _best_of_sample(x, min(1.0, 32 * rule.max_pairs / pairs), budget)
    if len(scores) < 30:
        return None
    listed, every = _lists_of_sample(x, float(scores[-1]), rule.k_left or rule.n, budget, workers)
    if not len(every):
        return None
    # At each score: the pairs that reach it, and the share of them that the sampled rows list.
    reach = pairs * share * np.arange(1, len(scores) + 1) / len(scores)
    rank = np.searchsorted(-every, -scores, side="right")
    kept = np.searchsorted(-listed, -scores, side="right") / np.maximum(rank, 1)
    # A pair needs one end to list it. Were ends independent, 1 - (1 - kept)² of the pairs were listed; were
    # they alike, kept; crowded rows meet each other more often than chance: halfway. Room for luck.
    either = (kept + 1 - (1 - kept) ** 2) / 2
    luck = 1.1 + 3 / np.sqrt(np.arange(1, len(scores) + 1))
    enough = np.flatnonzero((rank >= 16) & (reach * either >= luck * rule.max_pairs))
    if not len(enough):
        return None
    guess = float(scores[enough[0]])
    return guess if guess > rule.floor else None


def _best_of_sample(x: FloatMatrix, share: float, budget: int) -> tuple[Scores, float]:
    """The best scores of a sample of pairs, best first, and what share of its pairs they are."""
    side = min(math.ceil(math.sqrt(32 * HITS / share)), LARGEST_SIDE, len(x) // 2, math.isqrt(budget // 64))
    count = math.ceil(share * side * side)
    step = len(x) // side
    # Two samples without a row in common: no row meets itself.
    rows, others = x[::step][:side], x[step // 2 :: step][:side]
    scores = Fp32Product(size=side * side)(np.ascontiguousarray(rows), np.ascontiguousarray(others)).ravel()
    scores.partition(len(scores) - count)
    best: Scores = -np.sort(-scores[len(scores) - count :].astype(np.float32))
    return best, count / (side * side)


def _lists_of_sample(x: FloatMatrix, low: float, k: int, budget: int, workers: int) -> tuple[Scores, Scores]:
    """Scores from `low` up that some rows list, and all that they have, best first; none if too many."""
    step = len(x) // GUESS_ROWS
    sample = np.ascontiguousarray(x[::step][:GUESS_ROWS])
    found: list[tuple[Places, Scores]] = []
    kernel = Kernel(itself(sample), itself(x), unit=1.0, depth=x.shape[1], columns=COLUMNS)
    # Far more than a sample should have: equal scores without end, which no floor can part.
    most, overflow = budget // 256, threading.Event()

    def look(scorer: Scorer, columns: slice) -> None:
        raw = scorer.scores(slice(0, len(sample)), columns).ravel()
        hits = np.flatnonzero(raw >= low)
        if sum(len(part) for _, part in found) + len(hits) > most:
            overflow.set()
        if overflow.is_set():
            return
        row, column = np.divmod(hits, columns.stop - columns.start)
        other = row * step != column + columns.start
        found.append((row[other], raw[hits[other]].astype(np.float32)))

    strips = [slice(start, min(start + COLUMNS, len(x))) for start in range(0, len(x), COLUMNS)]
    pool.run(strips, look, lambda: kernel.scorer(len(sample) * COLUMNS), workers=workers)
    if overflow.is_set():
        return np.empty(0, np.float32), np.empty(0, np.float32)
    rows, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    listed = scores[top_k(rows, np.arange(len(rows)), scores, k)]
    return -np.sort(-listed), -np.sort(-scores)


def similar_order(x: FloatMatrix, y: FloatMatrix | None, *, workers: int) -> tuple[Order, Order]:
    """Orders of both sides that put rows near to the same pivots together, near pivots in sequence."""
    sides = [x] if y is None else [x, y]
    count = PIVOTS // len(sides)
    pivots = np.concatenate([side[:: max(1, len(side) // count)][:count] for side in sides])
    chain = _chain(pivots @ pivots.T)
    pivots = np.ascontiguousarray(pivots[chain])
    orders = []
    for side in sides:
        key = np.empty(len(side), np.int16)

        def nearest(product: Fp32Product, rows: slice, side: FloatMatrix = side, key: Any = key) -> None:
            key[rows] = product(side[rows], pivots).argmax(axis=1)

        blocks = [slice(start, min(start + 1024, len(side))) for start in range(0, len(side), 1024)]
        pool.run(blocks, nearest, lambda: Fp32Product(size=1024 * len(pivots)), workers=workers)
        places = np.argsort(key, kind="stable").astype(np.int32)
        orders.append(Order(places, key[places]))
    return orders[0], orders[-1]


def _chain(scores: FloatMatrix) -> list[int]:
    """From each row to the nearest that was not visited yet."""
    chain = [0]
    scores[:, 0] = -np.inf
    while len(chain) < len(scores):
        chain.append(int(scores[chain[-1]].argmax()))
        scores[:, chain[-1]] = -np.inf
    return chain


def seed_limits(
    x: FloatMatrix,
    y: FloatMatrix,
    rule: Rule,
    candidates: Candidates,
    orders: tuple[Order, Order],
    workers: int,
) -> None:
    """Raise each row's limit to its k-th best score among some rows that are likely to be near."""
    limits, (left, right) = candidates.limits, orders
    if limits.left is not None and rule.k_left:
        # Within one collection a row meets itself among its partners: its best score says nothing.
        _seed(limits.left, (x, left), (y, right), rule.k_left + rule.one_collection, workers)
    if limits.right is not None and rule.k_right and not rule.one_collection:
        _seed(limits.right, (y, right), (x, left), rule.k_right, workers)


def _seed(
    limits: Scores,
    side: tuple[FloatMatrix, Order],
    others: tuple[FloatMatrix, Order],
    wanted: int,
    workers: int,
) -> None:
    (rows, order), (partners, near) = side, others
    window = max(PARTNERS, 2 * wanted)
    if len(partners) < wanted or window > 4 * PARTNERS:
        return
    window = min(window, len(partners))
    block = ROWS
    slack = np.float32(1.1 * product_error(rows.shape[1]) + 2.0**-22)

    def seed(product: Fp32Product, top: int) -> None:
        own = order.places[top : top + block]
        # The middle of the partners that share a pivot with the middle of the block.
        pivot = order.pivots[top + len(own) // 2]
        middle = int(np.searchsorted(near.pivots, pivot) + np.searchsorted(near.pivots, pivot, "right")) // 2
        if near is order:
            middle = top + len(own) // 2
        start = min(max(0, middle - window // 2), len(partners) - window)
        raw = product(rows[own], partners[near.places[start : start + window]])
        raw.partition(window - wanted, axis=1)
        limits[own] = raw[:, window - wanted] - slack

    tops = range(0, len(rows), block)
    pool.run(tops, seed, lambda: Fp32Product(size=block * window), workers=workers)


def choose_depth(
    x: FloatMatrix, y: FloatMatrix, rule: Rule, floor: float, vectors: FloatMatrix, levels: int | None
) -> int:
    """How many leading coordinates to multiply, so that product and survivors together take least time."""
    rows, columns = (side[:: max(1, len(side) // count)][:count] for side, count in ((x, 512), (y, 2048)))
    turned = [np.ascontiguousarray(side @ vectors.T) for side in (rows, columns)]
    limits = _expected_limits(rows @ columns.T, rule, floor)
    d = int(x.shape[1])
    fixed, each = _product_seconds(d, levels)
    # What quantising costs a bound: about a hundredth a side, whatever the depth.
    error = 0.0 if levels is None else 2.2 / levels
    bounds = np.full(limits.shape, error, np.float32)
    rest = [np.ones(len(side)) for side in turned]
    best, least = int(d), math.inf
    step = max(1, d // 12)
    for start in range(0, d, step):
        leading = slice(start, min(start + step, d))
        bounds += turned[0][:, leading] @ turned[1][:, leading].T
        for left_out, side in zip(rest, turned, strict=True):
            left_out -= np.square(side[:, leading]).sum(axis=1)
        norms = [np.sqrt(np.maximum(left_out, 0)) for left_out in rest]
        survivors = float((bounds + norms[0][:, None] * norms[1] >= limits).mean())
        seconds = fixed + each * leading.stop + survivors * SURVIVOR_SECONDS
        if leading.stop >= 32 and seconds < least:
            best, least = leading.stop, seconds
    return best


def _expected_limits(scores: FloatMatrix, rule: Rule, floor: float) -> FloatMatrix:
    """About what limit each pair of a sample would meet in the midst of the job."""
    limits = np.full(scores.shape, floor, np.float32)
    ends = [np.full_like(limits, np.inf)]
    for k, axis, total in ((rule.k_left, 1, rule.m), (rule.k_right, 0, rule.n)):
        if k:
            count = scores.shape[axis]
            # Halfway through, and one more for a row that meets itself.
            rank = min(count, math.ceil(2 * k * count / total) + rule.one_collection)
            kth = np.partition(scores, count - rank, axis=axis).take([count - rank], axis=axis)
            ends.append(np.broadcast_to(kth, scores.shape))
    if len(ends) > 1:
        limits = np.maximum(limits, np.minimum.reduce(ends))
    return limits


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


def sampling_bytes(d: int) -> int:
    """What choosing a basis and a depth takes, for a while, before the tiles start."""
    return 40 * d * d + 4 * BASIS_ROWS * d + 24 * 512 * 2048
