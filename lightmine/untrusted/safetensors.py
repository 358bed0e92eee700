"""Weights from safetensors files, as NumPy arrays.

The format is simple (eight bytes of length, a JSON header, raw values). This small reader needs no
compiled package, and it reads bfloat16, which NumPy does not have. A test compares it with the package.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import BundleError, one_line

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
# The limit of the format.
LONGEST_HEADER = 100_000_000


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """All tensors of a safetensors file by name, converted to float32.

    Raises
    ------
    BundleError
        No such file, not safetensors, or values that are not floats.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > min(LONGEST_HEADER, len(data) - 8):
            raise ValueError("cut short")
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        numbers = memoryview(data)[8 + length :]
        # Otherwise many tensors could share the bytes of a small file and fill the memory.
        if sum(
            end - start for start, end in (entry.get("data_offsets", (0, 0)) for entry in header.values())
        ) > len(numbers):
            raise ValueError("its tensors overlap")
        return {name: _tensor(numbers, **entry) for name, entry in header.items()}
    except RecursionError:
        raise BundleError(
            f"{path}: not safetensors of floats: nested too deeply; fetch the file again"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BundleError(
            f"{path}: not safetensors of floats: {one_line(error)}; fetch the file again"
        ) from None


def _tensor(
    data: memoryview, *, dtype: str, shape: list[int], data_offsets: tuple[int, int]
) -> NDArray[np.float32]:
    start, end = data_offsets
    if dtype not in DTYPES:
        raise ValueError(f"type {dtype}")
    kind = np.dtype(DTYPES[dtype])
    if (
        min(shape, default=0) < 0
        or not 0 <= start <= end <= len(data)
        or end - start != math.prod(shape) * kind.itemsize
    ):
        raise ValueError("offsets and shape do not agree")
    values = np.frombuffer(data, kind, count=math.prod(shape), offset=start).reshape(shape)
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
