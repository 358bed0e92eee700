"""Vectors in fewer bytes: float16, int8 with calibrated ranges, or one bit per dimension.

The arithmetic is that of sentence-transformers' `quantize_embeddings`, so vectors of both can be searched
together.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_choice
from lightmine.errors import ArgumentError

Precision = Literal["float32", "float16", "int8", "binary"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
STEPS = 255


def ranges_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smallest and the largest value of each dimension.

    Parameters
    ----------
    vectors : float32 array of shape (n, d)
        Vectors of a sample like what is to be encoded; some thousands.

    Returns
    -------
    float32 array of shape (2, d)

    Raises
    ------
    ArgumentError
        Under two vectors.

    Examples
    --------
    >>> ranges_of(np.array([[0, 4], [2, 1]], np.float32))
    array([[0., 1.],
           [2., 4.]], dtype=float32)
    """
    if len(vectors) < 2:
        raise ArgumentError(f"ranges need a sample of some thousand sentences, not {len(vectors)}")
    return np.stack([vectors.min(axis=0), vectors.max(axis=0)]).astype(np.float32)


def check_precision(precision: Precision, ranges: Any, dimension: int) -> None:
    """Refuse an unknown precision, and ranges that are missing, not needed, or of the wrong shape.

    Raises
    ------
    ArgumentError
        The message says which.
    """
    check_choice("precision", precision, PRECISIONS)
    if precision != "int8":
        if ranges is not None:
            raise ArgumentError(f"ranges belong to precision int8, not to {precision}; drop them")
        return
    if ranges is None:
        # Ranges of the given vectors would make each vector depend on the others.
        raise ArgumentError("precision int8 needs ranges; make them once with encoder.calibrate(sample)")
    shape = np.shape(ranges)
    if shape != (2, dimension):
        raise ArgumentError(f"ranges must have shape (2, {dimension}), not {shape}; calibrate again")
    if not (np.isfinite(ranges).all() and (ranges[0] <= ranges[1]).all()):
        raise ArgumentError("ranges must be finite, the first row nowhere over the second; calibrate again")


def quantize(
    vectors: NDArray[np.float32], precision: Precision, ranges: NDArray[np.float32] | None = None
) -> NDArray[Any]:
    """Vectors in another precision.

    Parameters
    ----------
    vectors : float32 array of shape (n, d)
    precision : {"float32", "float16", "int8", "binary"}
        ``int8`` divides each dimension's range into 256 steps and clips values outside it. ``binary`` has a
        bit for each dimension, 1 if it is over zero, eight bits in a byte from which 128 is subtracted.
    ranges : float32 array of shape (2, d)
        For int8: the values that -128 and 127 stand for, as from `ranges_of`.

    Returns
    -------
    float32, float16 or int8 array of shape (n, d); for binary int8 of shape (n, ceil(d / 8))

    Examples
    --------
    >>> quantize(np.array([[0, 1]], np.float32), "int8", np.array([[-1, 0], [1, 4]], np.float32))
    array([[ -1, -65]], dtype=int8)
    >>> quantize(np.array([[1, -1, 0, 2, 0, 0, 0, 0, -1]], np.float32), "binary")
    array([[  16, -128]], dtype=int8)
    """
    if precision == "float32":
        return vectors
    if precision == "float16":
        return vectors.astype(np.float16)
    if precision == "binary":
        bits = np.packbits(vectors > 0, axis=1)
        return (bits.astype(np.int16) - 128).astype(np.int8)
    assert ranges is not None
    low, high = np.asarray(ranges, np.float32)
    step = (high - low) / np.float32(STEPS)
    step = np.where(step == 0, np.float32(1), step)
    steps: NDArray[np.float32] = np.clip(np.floor((vectors - low) / step), 0, STEPS)
    return (steps - 128).astype(np.int8)
