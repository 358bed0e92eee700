"""Rows that engines find hard, and rows with many near neighbours."""

import numpy as np

from lightmine import unit_rows

KINDS = ["normal", "spike", "equal", "tiny", "opposite", "alternating", "duplicates", "low rank"]


def adversarial(kind, rng, n, d):
    """Rows that are hard to quantize, to sum or to rotate."""
    x = rng.standard_normal((n, d))
    if kind == "spike":
        x *= 1e-6
        x[np.arange(n), rng.integers(0, d, n)] = 1
    elif kind == "equal":
        x[:] = 1
    elif kind == "tiny":
        x *= 10.0 ** rng.uniform(-45, 0, (n, d))
        x[:, 0] += 1e-30
    elif kind == "opposite":
        x[1::2] = -x[: n // 2]
    elif kind == "alternating":
        x = np.where(np.arange(d) % 2, 1.0, -1.0) * (1 + 1e-3 * x)
    elif kind == "duplicates":
        x[:] = x[rng.integers(0, 3, n)] if n > 2 else x[:1]
    elif kind == "low rank":
        x = x[:, :1] * rng.standard_normal(d) + 1e-3 * x
    return unit_rows(x)


def clustered(seed, n, d, spread=0.5):
    """Rows around centres, a tenth of them copies of others."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, n // 9), d))
    x = centres[rng.integers(0, len(centres), n)] + spread * rng.standard_normal((n, d))
    x[rng.integers(0, n, n // 10)] = x[rng.integers(0, n, n // 10)]
    return unit_rows(x)
