"""Batches of token ids: sentences of like length together, counted in tokens."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from lightmine.loading.modules import Ids

# Sentences, and characters of them, that are tokenized and sorted by length together: enough for batches
# with little padding, few enough that a window and its vectors take only some tens of megabytes.
WINDOW = 16_384
WINDOW_CHARACTERS = 4_000_000
# A window over a quarter of its size ends at one sentence in so many, chosen by a hash of its bytes. So after
# a sentence is added or removed the next windows are the same as before, and cached vectors are found.
ENDS = 8192


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Token ids of many sentences in one array.

    Attributes
    ----------
    flat : int32 array of all ids
    starts : int64 array of shape (sentences + 1,)
        Sentence i has ``flat[starts[i]:starts[i + 1]]``.
    """

    flat: NDArray[np.int32]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Tokens:
        """Join rows of ids.

        Examples
        --------
        >>> Tokens.of([[5, 6], [7]])
        Tokens(flat=array([5, 6, 7], dtype=int32), starts=array([0, 2, 3]))
        """
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        return cls(np.fromiter(chain.from_iterable(rows), np.int32, int(starts[-1])), starts)

    @classmethod
    def joined(cls, parts: Sequence[Tokens]) -> Tokens:
        """Several of them, concatenated."""
        lengths = np.concatenate([np.zeros(1, np.int64), *(part.lengths for part in parts)])
        return cls(np.concatenate([part.flat for part in parts]), np.cumsum(lengths))

    @functools.cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The number of tokens of each sentence."""
        return np.diff(self.starts)


def windows(sentences: Iterable[str], *, size: int, characters: int) -> Iterator[list[str]]:
    """Sentences in their order, in lists of at most `size` and of about `characters` characters.

    Where a window ends depends only on the sentences in it.

    Examples
    --------
    >>> list(windows(["one", "two", "three", "four"], size=3, characters=6))
    [['one', 'two'], ['three', 'four']]
    """
    window: list[str] = []
    length = 0
    for sentence in sentences:
        window.append(sentence)
        # An item that is not a string is refused later, with its position.
        length += len(sentence) if isinstance(sentence, str) else 0
        if len(window) >= size or length >= characters or (len(window) >= size // 4 and _ends(sentence)):
            yield window
            window, length = [], 0
    if window:
        yield window


def _ends(sentence: str) -> bool:
    return isinstance(sentence, str) and zlib.crc32(sentence.encode("utf-8", "surrogatepass")) % ENDS == 0


def batches(lengths: Sequence[int] | Ids, *, batch_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Positions of the sentences of each batch: longest first, padded size within `batch_tokens`.

    A sentence longer than `batch_tokens` is a batch of its own.

    Examples
    --------
    >>> [batch.tolist() for batch in batches([3, 9, 2, 3], batch_tokens=8)]
    [[1], [0, 3], [2]]
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        count = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def pad(tokens: Tokens, positions: NDArray[np.intp], *, pad_token_id: int, side: str) -> tuple[Ids, Ids]:
    """Token ids and mask of some sentences as matrices.

    Returns
    -------
    ids, mask : int64 arrays of shape (sentences, longest)

    Examples
    --------
    >>> pad(Tokens.of([[5, 6], [7]]), np.array([0, 1]), pad_token_id=0, side="right")
    (array([[5, 6],
           [7, 0]]), array([[1, 1],
           [1, 0]]))
    """
    starts, lengths = tokens.starts[positions, None], tokens.lengths[positions, None]
    longest = int(lengths.max())
    within = np.arange(longest) - (longest - lengths if side == "left" else 0)
    inside = (within >= 0) & (within < lengths)
    ids = np.where(inside, tokens.flat[np.where(inside, starts + within, 0)], pad_token_id)
    return ids.astype(np.int64), inside.astype(np.int64)
