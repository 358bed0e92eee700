"""What a sample of pairs tells before the tiles start: a floor to begin with.

Nothing here decides the answer: the caller checks what was guessed once the answer is there.
"""

from __future__ import annotations

import math
import threading

import numpy as np

from lightmine.engine import pool
from lightmine.engine.kernels import Kernel, Scorer, Scores, plain
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.products import Fp32Product
from lightmine.engine.tiles import COLUMNS
from lightmine.engine.topk import Rule, top_k
from lightmine.engine.twins import Places

# Rows whose lists stand for everybody's when a floor is guessed.
GUESS_ROWS = 256
# Pairs that a sample should find over the floor that is guessed, and the most rows a side that it may take.
HITS, LARGEST_SIDE = 400, 4096


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
    kernel = Kernel([plain(sample, x)], COLUMNS)
    # Far more than a sample should have: equal scores without end, which no floor can part.
    most, overflow = budget // 256, threading.Event()

    def look(scorer: Scorer, columns: slice) -> None:
        raw = scorer.scores(0, slice(0, len(sample)), columns).ravel()
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
