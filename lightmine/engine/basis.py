"""An orthogonal basis whose first components hold most of the rows' norm, and its float32 error."""

from __future__ import annotations

import numpy as np

from lightmine.engine.matrix import FloatMatrix, product_error
from lightmine.engine.tuning import DEFAULT_TUNING


def basis(x: FloatMatrix, y: FloatMatrix | None, sample_rows: int = DEFAULT_TUNING.basis_rows) -> FloatMatrix:
    """An orthogonal basis, the components that hold most of the rows' norm first; shape (d, d), rows."""
    sides = [x] if y is None else [x, y]
    gram = np.zeros((x.shape[1], x.shape[1]))
    for side in sides:
        sample = np.ascontiguousarray(side[:: max(1, len(side) // sample_rows)][:sample_rows])
        gram += sample.T @ sample
    return np.ascontiguousarray(np.linalg.eigh(gram)[1].T[::-1], np.float32)


def random_rotation(vectors: FloatMatrix) -> FloatMatrix:
    """The same p basis vectors rotated among themselves, so that all components of rows are of like size."""
    random = np.random.default_rng(0).standard_normal((len(vectors), len(vectors)))
    return np.ascontiguousarray(np.linalg.qr(random)[0] @ vectors.astype(np.float64), np.float32)


def rotation_error(d: int, p: int) -> float:
    """A bound of the norm of the float32 error of p rotated components of a unit row.

    Each is a dot product of d terms with a unit vector, so within d·u/(1 - d·u) of the true one
    (u = 2^-24). The basis is rounded to float32 twice, each time by at most u of every entry, which
    changes a row by at most u·√p. Its departure from orthogonality before that, some 1e-14, is far inside
    the hundredth that is added.
    """
    return float(1.01 * np.sqrt(p) * product_error(d + 4))
