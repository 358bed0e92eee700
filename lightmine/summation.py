"""Sums in one order, so that every machine finds the same bits.

NumPy's and BLAS's own sums add in an order that depends on the processor's instructions and the library's
kernel. Here numbers are added by elementwise operations, each of which IEEE 754 defines to the last bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Sums that run side by side. A processor with 256-bit registers holds them in eight.
LANES = 32

Floats = NDArray[np.float64]


def sum_rows(products: Floats, lanes: Floats | None = None) -> Floats:
    """The sum of each row, in an order that depends on the number of columns alone.

    Lane ``l`` of 32 adds the columns ``l``, ``l + 32``, ``l + 64`` ... in this order; a lane without columns
    is zero. Then the upper half of the lanes is added to the lower half, lane by lane: 16, 8, 4, 2 and 1.

    Parameters
    ----------
    products : float64 array of shape (n, d)
    lanes : float64 array of shape (n or more, 32), optional
        Room for the lanes, where the caller has some; the result is a view of it.

    Returns
    -------
    float64 array of shape (n,)

    Examples
    --------
    >>> sum_rows(np.arange(80.0).reshape(2, 40))
    array([ 780., 2380.])
    """
    n, d = products.shape
    sums = np.empty((n, LANES)) if lanes is None else lanes[:n]
    first = min(d, LANES)
    sums[:, :first] = products[:, :first]
    sums[:, first:] = 0.0
    for start in range(LANES, d, LANES):
        block = products[:, start : start + LANES]
        sums[:, : block.shape[1]] += block
    half = LANES // 2
    while half:
        sums[:, :half] += sums[:, half : 2 * half]
        half //= 2
    return sums[:, 0]
