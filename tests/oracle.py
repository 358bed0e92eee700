"""The naive dense reference: every score, every rule, in the most obvious way."""

import numpy as np


def exact_score(a, b):
    """The exact score of two rows, as docs/internals/engine.md defines it, term by term."""
    lanes = [0.0] * 32
    for place, (left, right) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        lanes[place % 32] += left * right
    for half in (16, 8, 4, 2, 1):
        lanes = [lanes[lane] + lanes[lane + half] for lane in range(half)]
    return min(max(np.float32(lanes[0]), np.float32(-1)), np.float32(1)) + np.float32(0)


def dense(x, y=None):
    """All scores, as `PairScorer.exact` promises them: `exact_score` for many pairs at a time."""
    y = x if y is None else y
    products = x.astype(np.float64)[:, None, :] * y.astype(np.float64)[None, :, :]
    lanes = np.zeros((len(x), len(y), 32))
    for place in range(products.shape[2]):
        lanes[:, :, place % 32] += products[:, :, place]
    for half in (16, 8, 4, 2, 1):
        lanes = lanes[:, :, :half] + lanes[:, :, half:]
    return np.clip(lanes[:, :, 0].astype(np.float32), -1, 1) + np.float32(0)


def nearest(scores, k, *, self_join=False, max_score=None):
    """Per row, the indices of the k best that score at most `max_score`: score descending, then index."""
    most = np.inf if max_score is None else max_score
    lists = []
    for row, line in enumerate(scores.tolist()):
        others = [j for j in range(len(line)) if not (self_join and j == row) and line[j] <= most]
        lists.append(sorted(others, key=lambda j, line=line: (-line[j], j))[:k])
    return lists


def paraphrases(x, *, top_k=None, max_pairs=None, threshold=None, max_score=None):
    """(score, left, right) of every pair that one end lists, in the one order."""
    scores = dense(x)
    k = len(x) if top_k is None else top_k
    lists = nearest(scores, k, self_join=True, max_score=max_score)
    pairs = {(min(i, j), max(i, j)) for i, others in enumerate(lists) for j in others}
    found = sorted((-float(scores[i, j]), i, j) for i, j in pairs)
    found = [(-score, i, j) for score, i, j in found if threshold is None or -score >= threshold]
    return found[:max_pairs]
