"""SHA-256 hashes of texts, of rows and of parts of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


def text_hash(texts: Sequence[str], gaps: Sequence[int] = ()) -> str:
    """A SHA-256 of texts in their order, and of how many blank lines stand before each of them.

    Examples
    --------
    >>> text_hash(["ab", "c"]) == text_hash(["a", "bc"])
    False
    """
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    numbers = [len(encoded), len(gaps), *map(len, encoded), *gaps]
    digest = hashlib.sha256(np.array(numbers, "<i8").tobytes())
    digest.update(b"".join(encoded))
    return digest.hexdigest()


def row_chunks(rows: NDArray[Any], *, size: int = 1 << 24) -> Iterator[memoryview]:
    """The bytes of rows, about `size` at a time."""
    step = max(1, size // max(1, rows.shape[1] * rows.itemsize))
    for start in range(0, len(rows), step):
        yield np.ascontiguousarray(rows[start : start + step]).data.cast("B")


def file_hash(file: BinaryIO, size: int) -> str:
    """A SHA-256 of the next `size` bytes of a file, or of those that are left if they are fewer."""
    digest = hashlib.sha256()
    while size and (data := file.read(min(size, 1 << 22))):
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()
