"""Compressed rows: int8 components of each row, with a bound of what they can be wrong by.

The derivation, for rows x and y whose norm is at most N = 1 + 1e-6. An orthogonal basis changes no dot
product. In it, x has p leading coordinates u and a residual of norm r (none where p is d). They are kept as
û = scale · q, q whole numbers of at most qmax, with the error e = u - û. Likewise y has v, s, v̂ and f:

    x·y ≤ u·v + r s = û·v̂ + û·f + e·v + r s = û·v̂ + u·f - e·f + e·v + r s
        ≤ û·v̂ + N‖f‖ + N‖e‖ + ‖e‖‖f‖ + r s                      by Cauchy and Schwarz
        ≤ û·v̂ + E(x) + E(y),   E(x) = N‖e‖ + ‖e‖²/2 + r²/2        since 2ab ≤ a² + b².

So an upper bound of the score is one integer product, scale² · (q · q'), and one number of each row.
Rounding is in E too: u is computed in float32, so ‖e‖ and r are taken at their worst. A row that the scale
does not suit has a larger E, and more of its pairs are scored in full; no row is refused.

Coordinates of some models differ in size. A random rotation makes them alike, so that one scale serves all
of them; eigenvectors of XᵀX put as much as can be into few components, for processors on which a product of
fewer components is worth its residual.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from lightmine.engine import native, pool
from lightmine.engine.matrix import UNIT_TOLERANCE, FloatMatrix, product_error
from lightmine.engine.tuning import Tuning

# The most that a row's norm can be.
MAX_NORM = 1 + UNIT_TOLERANCE
# The least that a component counts for. E is at most 1.5 / scale^2, and so under the 2^29 that the kernel
# keeps of it; products are little over 2^28 and stay clear of int32's ends.
MIN_SCALE = 2.0**-14
# Error bounds of places where no row is: their pairs reach no limit. Where there is no limit, the kernel
# drops them by their numbers.
NOWHERE = -(1 << 29)


@dataclasses.dataclass(frozen=True)
class QuantizationParams:
    """How rows are compressed.

    Attributes
    ----------
    vectors : float32 array of shape (p, d), or None
        An orthonormal basis of the leading part; None keeps the coordinates as they are.
    dimension : int
        d.
    scale : float
        What a component counts for; a float32 number.
    qmax : int
        The largest component.
    """

    vectors: FloatMatrix | None
    dimension: int
    scale: float
    qmax: int

    @property
    def n_components(self) -> int:
        """p."""
        return self.dimension if self.vectors is None else len(self.vectors)

    @property
    def width(self) -> int:
        """Components of a row as they are stored: p, padded with zeros."""
        return -(-self.n_components // native.WIDTH) * native.WIDTH

    @property
    def unit(self) -> float:
        """What an integer product is to be multiplied by."""
        return self.scale**2

    @property
    def rotation_error(self) -> float:
        """The norm of what float32 can do to the coordinates of a unit row."""
        return 0.0 if self.vectors is None else rotation_error(self.dimension, self.n_components)


@dataclasses.dataclass(frozen=True)
class CompressedRows:
    """One side of a join, as the kernel reads it: 16 rows a panel, two panels at least.

    Attributes
    ----------
    params : QuantizationParams
    panels : int8 array of shape (panels, width / 4, 16, 4)
    errors : int32 array of shape (places,)
        E of each row, in units of ``params.unit``, rounded up.
    sums : int32 array of shape (places,)
        The sum of each row's components.
    rows : int32 array of shape (places,)
        The row at each place, zero where there is none.
    """

    params: QuantizationParams
    panels: NDArray[np.int8]
    errors: NDArray[np.int32]
    sums: NDArray[np.int32]
    rows: NDArray[np.int32]


def compressed_bytes(n: int, width: int) -> int:
    """What n compressed rows take."""
    return _places(n) * (width + 12)


def _places(n: int) -> int:
    return -(-max(n, 1) // (2 * native.PANEL)) * 2 * native.PANEL


def choose_params(
    sample: FloatMatrix, qmax: int, n_components: int | None = None, *, rotate: bool = True, tuning: Tuning
) -> QuantizationParams:
    """A basis and a scale for rows like those of a sample.

    Without `n_components` nothing is left out, and the coordinates are rotated only if that makes the error
    bounds clearly smaller, and never without `rotate`: of few rows it costs more than it saves.

    Examples
    --------
    >>> params = choose_params(np.eye(4, dtype=np.float32), 127, tuning=Tuning())
    >>> params.n_components, params.width
    (4, 64)
    """
    d, few = sample.shape[1], sample[:: -(-len(sample) // tuning.scale_rows)]
    if n_components is not None and n_components < d:
        vectors = random_rotation(basis(sample)[:n_components])
        return QuantizationParams(vectors, d, _scale(few @ vectors.T, qmax, tuning)[0], qmax)
    scale, error = _scale(few, qmax, tuning)
    if not rotate:
        return QuantizationParams(None, d, scale, qmax)
    vectors = random_rotation(np.eye(d, dtype=np.float32))
    rotated, less = _scale(few @ vectors.T, qmax, tuning)
    if less < tuning.rotation_gain * error:
        return QuantizationParams(vectors, d, rotated, qmax)
    return QuantizationParams(None, d, scale, qmax)


def _scale(coordinates: FloatMatrix, qmax: int, tuning: Tuning) -> tuple[float, float]:
    """The scale with the least error on average, and that error."""
    largest = np.abs(coordinates).max(axis=1)
    best = (math.inf, 1.0)
    for share in tuning.scale_quantiles:
        scale = float(np.float32(max(float(np.quantile(largest, share)) / qmax, MIN_SCALE)))
        steps = np.clip(np.rint(coordinates / np.float32(scale)), -qmax, qmax) * np.float32(scale)
        error = float(np.sqrt(np.square(coordinates - steps).sum(axis=1)).mean())
        best = min(best, (error, scale))
    return best[1], best[0]


def basis(sample: FloatMatrix) -> FloatMatrix:
    """An orthogonal basis, the coordinates that hold most of the rows' norm first; shape (d, d), rows."""
    d = sample.shape[1]
    # Into zeros: see NumpyWorker.mine.
    gram = np.matmul(sample.T, sample, out=np.zeros((d, d), np.float32)).astype(np.float64)
    return np.ascontiguousarray(np.linalg.eigh(gram)[1].T[::-1], np.float32)


def random_rotation(vectors: FloatMatrix) -> FloatMatrix:
    """The same p basis vectors rotated among themselves, so that rows are alike in every coordinate."""
    random = np.random.default_rng(0).standard_normal((len(vectors), len(vectors)))
    return np.ascontiguousarray(np.linalg.qr(random)[0] @ vectors.astype(np.float64), np.float32)


def rotation_error(d: int, p: int) -> float:
    """The norm of what float32 can do to p rotated coordinates of a unit row.

    Each is a dot product of d terms with a unit vector, so within d·u/(1 - d·u) of the true one
    (u = 2^-24). The basis is rounded to float32 twice, each time by at most u of every entry, which
    rotates a row by at most u·√p; its departure from orthogonality before that, some 1e-14, is far inside
    the hundredth that is added.
    """
    return float(1.01 * np.sqrt(p) * product_error(d + 4))


def compress_rows(
    x: FloatMatrix, params: QuantizationParams, kernel: native.Kernel, *, workers: int, tuning: Tuning
) -> CompressedRows:
    """Compress a matrix of unit rows.

    Parameters
    ----------
    x : float32 array of shape (n, d), unit rows
    params : QuantizationParams
    kernel : native.Kernel
    workers : int
    """
    n, places, width = len(x), _places(len(x)), params.width
    panels = np.zeros((places // native.PANEL, width // 4, native.PANEL, 4), np.int8)
    errors, sums = np.full(places, NOWHERE, np.int32), np.zeros(places, np.int32)
    rows = np.zeros(places, np.int32)
    rows[:n] = np.arange(n, dtype=np.int32)
    compressed = CompressedRows(params, panels, errors, sums, rows)

    def compress(_: object, chunk: slice) -> None:
        block = x[chunk] if params.vectors is None else x[chunk] @ params.vectors.T
        native.quantize(kernel, np.ascontiguousarray(block), chunk.start, compressed, MAX_NORM)

    step = tuning.compressed_at_once
    chunks = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    pool.run(chunks, compress, lambda: None, workers=workers)
    return compressed
