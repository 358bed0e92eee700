"""Matrices of unit rows, and the exact score of a pair of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightmine.engine import native
from lightmine.engine.array_input import as_array
from lightmine.engine.tuning import DEFAULT_TUNING
from lightmine.errors import ArgumentError, MatrixError
from lightmine.summation import LANES, sum_rows

FloatMatrix = NDArray[np.float32]

# A row whose norm is this close to 1 is used as it is: float32 normalization leaves a few 1e-7.
UNIT_TOLERANCE = 1e-6


def unit_rows(x: ArrayLike, *, name: str = "embeddings") -> FloatMatrix:
    """Check embeddings and return them as float32 unit rows.

    Parameters
    ----------
    x : array of shape (n, d), any real dtype
        Embeddings, one row a sentence. A C-contiguous float32 matrix of unit rows, memory-mapped or
        not, is returned without a copy; anything else is copied, each row divided by its norm. Dense
        tensors of PyTorch are taken: detached, on the CPU, bfloat16 as float32.
    name : str
        What error messages call the matrix.

    Returns
    -------
    float32 array of shape (n, d), C-contiguous
        Rows with norm 1 to within 1e-6.

    Raises
    ------
    MatrixError
        Not two-dimensional, no columns, not numeric (text: encode first), sparse, masked, or
        a row that holds NaN or infinity or is all zero; the message names the first such row.

    Examples
    --------
    >>> unit_rows([[3.0, 4.0], [0.0, 2.0]])
    array([[0.6, 0.8],
           [0. , 1. ]], dtype=float32)
    """
    x = check_matrix(x, name=name)
    if is_unit(x, name=name):
        return x
    unit = np.empty(x.shape, np.float32)
    for rows in _blocks(x):
        wide, norms = _norms(x[rows], rows.start, name)
        if x.dtype == np.float32:
            # As `is_unit` would have it: a row that is ready stays as it is, whatever stands beside it.
            norms[_are_unit(norms)] = 1.0
        np.divide(wide, norms[:, None], out=unit[rows], casting="same_kind")
    return unit


def check_matrix(x: ArrayLike, *, name: str) -> NDArray[Any]:
    """Refuse what is not a matrix of real numbers."""
    x = as_array(x, name=name)
    if x.ndim != 2 or x.shape[1] == 0:
        raise MatrixError(f"{name}: a matrix of shape (sentences, dimension) is needed, not {x.shape}")
    if x.dtype.kind not in "fiu":
        raise MatrixError(f"{name}: real numbers are needed, not {x.dtype}")
    return x


def is_unit(x: NDArray[Any], *, name: str = "embeddings") -> bool:
    """Whether `unit_rows` would return `x` itself; refuses the rows that `unit_rows` refuses."""
    unit = x.dtype == np.float32 and x.flags.c_contiguous and x.flags.aligned
    kernel, _ = native.find_kernel() if unit else (None, "")
    for rows in _blocks(x):
        if kernel is not None and _are_unit(native.norms(kernel, x[rows])).all():
            continue
        _, norms = _norms(x[rows], rows.start, name)
        unit = unit and bool(_are_unit(norms).all())
    return unit


def _blocks(x: NDArray[Any]) -> Iterator[slice]:
    step = _rows_at_once(x.shape[1])
    return (slice(start, start + step) for start in range(0, len(x), step))


def _rows_at_once(d: int, chunk_bytes: int = DEFAULT_TUNING.chunk_bytes) -> int:
    """How many rows of d dimensions are taken at a time; a row of few still takes room for all lanes."""
    return max(1, chunk_bytes // (4 * max(d, LANES)))


def _norms(block: NDArray[Any], first_row: int, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows in float64 (scaled where squaring would under- or overflow) and their norms."""
    wide = block.astype(np.float64)
    with np.errstate(over="ignore"):
        norms = np.sqrt(sum_rows(wide * wide))
    odd = ~((norms > 1e-100) & (norms < 1e100))
    if odd.any():
        for row in np.flatnonzero(odd):
            largest = np.abs(wide[row]).max()
            if not np.isfinite(largest):
                raise MatrixError(f"{name}: row {first_row + row} holds NaN or infinity; drop or mend it")
            if largest == 0.0:
                raise MatrixError(f"{name}: row {first_row + row} is all zero and has no direction; drop it")
            wide[row] /= largest
            norms[row] = np.sqrt(sum_rows(wide[row : row + 1] ** 2))[0]
    return wide, norms


def _are_unit(norms: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(norms - 1.0) <= UNIT_TOLERANCE


def same_dimension(x: FloatMatrix, y: FloatMatrix) -> None:
    """Refuse two matrices whose rows cannot be multiplied."""
    if x.shape[1] != y.shape[1]:
        raise ArgumentError(
            f"the two sides have {x.shape[1]} and {y.shape[1]} dimensions; encode both with one model"
        )


class PairScorer:
    """Scores of single pairs of rows; its buffers belong to one worker.

    The exact score of a pair: products exact in float64, added in float64 in the order of
    `lightmine.summation.sum_rows`, rounded once to float32, and clipped to -1 and 1. The order depends on d
    alone, so every machine gives the same bits, and a pair's score does not depend on the pairs scored
    beside it. Rounded rows can have a product of 1.0000001; no cosine is over 1, and an arccosine, or a
    distance of 1 less the score, relies on that. Negative zero is made zero, so that equal scores have
    equal bits.

    Parameters
    ----------
    x, y : float32 arrays of shape (n, d) and (m, d), unit rows
    chunk_bytes : int
        Bytes of one side's rows that are scored at a time.

    Examples
    --------
    >>> x = unit_rows([[1, 0], [1, 1]])
    >>> PairScorer(x, x).exact(np.array([0, 1]), np.array([1, 1]))
    array([0.70710677, 0.99999994], dtype=float32)
    """

    def __init__(
        self, x: FloatMatrix, y: FloatMatrix, *, chunk_bytes: int = DEFAULT_TUNING.chunk_bytes
    ) -> None:
        self._x, self._y = x, y
        d = x.shape[1]
        # Fresh memory for every call would cost ten times what the scores do.
        self._step = _rows_at_once(d, chunk_bytes)
        self._narrow = np.empty((2, self._step, d), np.float32)
        self._wide = np.empty((2, self._step, d), np.float64)
        self._lanes = np.empty((self._step, LANES), np.float64)

    def exact(self, left: NDArray[np.integer], right: NDArray[np.integer]) -> NDArray[np.float32]:
        """The exact score of each pair, a row of `x` and a row of `y`."""
        scores = np.empty(len(left), np.float32)
        for start in range(0, len(left), self._step):
            pairs = slice(start, start + self._step)
            a, b = self._narrow[:, : len(left[pairs])]
            # "clip" only spares a second buffer: no index is out of range.
            np.take(self._x, left[pairs], axis=0, out=a, mode="clip")
            np.take(self._y, right[pairs], axis=0, out=b, mode="clip")
            wide = self._wide[:, : len(a)]
            wide[0], wide[1] = a, b
            np.multiply(wide[0], wide[1], out=wide[0])
            scores[pairs] = sum_rows(wide[0], self._lanes)
        return np.clip(scores, -1, 1) + np.float32(0.0)


# The exact score's own rounding, and its accumulation's in float64, with room to spare.
ROUNDING = 2.0**-23 + 1e-12


def product_error(terms: int) -> float:
    """How far float32 can be from a dot product of so many terms, as a share of the norms' product.

    n·u/(1 - n·u) with u = 2^-24, whatever the order of the sum, fused or not: Higham 2002, Accuracy and
    Stability of Numerical Algorithms, section 3.1, and Cauchy and Schwarz.
    """
    return terms * 2.0**-24 / (1 - terms * 2.0**-24)


def score_error(d: int) -> float:
    """How far the float32 product of two unit rows of d coordinates can be from their score before
    clipping.

    Norms are within 1e-6 of 1, and the score itself is rounded; there is a margin. A lower bound of the
    score that follows from it has to be clipped to 1, as the score is.
    """
    return 1.01 * product_error(d) + 2.0**-22
