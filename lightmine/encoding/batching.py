"""Batches of token ids: sentences of like length together, counted in tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def batches(lengths: Sequence[int], *, batch_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Places of the sentences of each batch: longest first, padded size within `batch_tokens`.

    A sentence longer than `batch_tokens` is a batch of its own.

    Examples
    --------
    >>> [batch.tolist() for batch in batches([3, 9, 2, 3], batch_tokens=8)]
    [[1], [0, 3], [2]]
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        count = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + count]
        start += count


def pad(ids: Sequence[Sequence[int]], *, pad_token_id: int, side: str) -> tuple[Ids, Ids]:
    """Token ids and mask as matrices.

    Returns
    -------
    ids, mask : int64 arrays of shape (sentences, longest)

    Examples
    --------
    >>> pad([[5, 6], [7]], pad_token_id=0, side="right")
    (array([[5, 6],
           [7, 0]]), array([[1, 1],
           [1, 0]]))
    """
    lengths = np.array([len(row) for row in ids])
    longest = int(lengths.max())
    places = np.arange(longest)
    inside = places < lengths[:, None] if side == "right" else places >= longest - lengths[:, None]
    padded = np.full(inside.shape, pad_token_id, np.int64)
    padded[inside] = np.concatenate([np.asarray(row, np.int64) for row in ids])
    return padded, inside.astype(np.int64)
