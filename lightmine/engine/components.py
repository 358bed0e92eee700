"""How many components to multiply: all of them, or a few that hold most of each row where a product is slow.

A choice only changes time: any number is right, the bounds account for what is left out.
"""

from __future__ import annotations

import numpy as np

from lightmine.engine import native
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.quantization import basis
from lightmine.engine.spec import JoinSpec
from lightmine.engine.tuning import Tuning


def choose_components(
    sample: FloatMatrix, spec: JoinSpec, kernel: native.Kernel, tuning: Tuning
) -> int | None:
    """The number of leading components that should take least time; None for all.

    Pairs of a sample are bounded by each number of components. Those that reach the score of the answer's
    last pair, as far as the sample tells, would be scored in full.
    """
    d = sample.shape[1]
    seconds = dict(tuning.product_seconds).get(kernel.name)
    rows, columns = tuning.component_sample
    if seconds is None or len(sample) < rows + columns // 4:
        return None
    vectors = basis(sample)
    left, right = sample[::-1][:rows] @ vectors.T, sample[:-rows][:columns] @ vectors.T
    limits = _limits(left @ right.T, spec)
    best = (np.inf, d)
    for share in tuning.component_shares:
        p = max(1, round(d * share / native.WIDTH)) * native.WIDTH if share < 1 else d
        if p > d:
            continue
        a, b = left[:, :p], right[:, :p]
        bounds = a @ b.T
        bounds += _error(a, d, kernel.qmax)[:, None]
        bounds += _error(b, d, kernel.qmax)
        width = -(-p // native.WIDTH) * native.WIDTH
        cost = width * seconds + float((bounds >= limits).mean()) * tuning.survivor_seconds
        best = min(best, (cost, p))
    return None if best[1] == d else best[1]


def _error(part: FloatMatrix, d: int, qmax: int) -> FloatMatrix:
    """About what compressing will find; a step is some four standard deviations over qmax."""
    inside = np.square(part).sum(axis=1)
    left_out = 0.0 if part.shape[1] == d else np.maximum(1 - inside, 0) / 2
    error: FloatMatrix = np.sqrt(inside) * np.float32(4 / qmax / 12**0.5) + left_out
    return error


def _limits(scores: FloatMatrix, spec: JoinSpec) -> FloatMatrix:
    """The score that each sampled row's pairs have to reach."""
    limit = np.full((len(scores), 1), max(spec.min_score, -2.0), np.float32)
    if spec.max_pairs is not None:
        every = spec.n * (spec.n - 1) / 2 if spec.self_join else spec.n * spec.m
        share = min(1.0, spec.max_pairs / every)
        return np.maximum(limit, np.quantile(scores, 1 - share).astype(np.float32))
    k = max(spec.k_left or 0, spec.k_right or 0)
    if k:
        share = min(1.0, k / (spec.m if spec.k_left else spec.n))
        return np.maximum(limit, np.quantile(scores, 1 - share, axis=1, keepdims=True).astype(np.float32))
    return limit
