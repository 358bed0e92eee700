"""Embeddings by the hash of their texts: texts that were encoded before, in any file, are not encoded again.

An entry appears complete by one rename, and is checked whenever it is read. So several processes can use a
cache at once without waiting for each other, and a killed process leaves nothing that another would use.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.encoder import Encoder
from lightmine.encoder.sentences import check_container, check_filled, check_sentences
from lightmine.errors import OutputError
from lightmine.progress import Progress
from lightmine.store.cache_folder import DAMAGED, CacheFolder
from lightmine.store.cache_prune import CacheSummary, prune, summarize
from lightmine.store.hashing import text_hash
from lightmine.store.manifest import StoreHeader


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Vectors, and how many of them the cache had.

    Attributes
    ----------
    vectors : array of shape (n, dimension)
    cut : int
        Sentences that were longer than the longest input of the model.
    found : int
        Sentences whose vectors the cache had.
    damaged : int
        Entries that were damaged, and were written again.
    unwritten : str, optional
        Why new vectors could not be written.
    """

    vectors: NDArray[Any]
    cut: int
    found: int
    damaged: int = 0
    unwritten: str | None = None


class Cache:
    """A folder of embeddings, found by the hash of their texts.

    Parameters
    ----------
    folder : path or str
        Made if it does not exist.

    Raises
    ------
    OutputError
        The folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> cache, encoder = Cache(tempfile.mkdtemp()), Encoder.load()
    >>> texts = ["a cat", "ein Hund"]
    >>> cache.encode(encoder, texts).found, cache.encode(encoder, texts).found
    (0, 2)
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be a cache: {error.strerror or error}") from None

    def encode(
        self, encoder: Encoder, texts: Sequence[str], *, progress: Progress | None = None, **options: Any
    ) -> Encoded:
        """The vectors that `Encoder.encode` gives, to the byte; those that the cache has are not computed.

        Texts are looked up in the windows that the encoder works in. The windows depend on the texts alone,
        so texts before and after a changed one are found.

        Parameters
        ----------
        encoder : Encoder
        texts : sequence of str
        progress : callable, optional
            Called with the number of sentences done, and the number in all.
        **options
            As for `Encoder.encode`.
        """
        check_container(texts)
        header = StoreHeader.of(encoder, options)
        folder = CacheFolder(self.folder, header)
        vectors = np.empty((len(texts), header.columns), header.dtype)
        missing, cut, damaged = _read_windows(folder, encoder, texts, vectors)
        found = len(texts) - sum(end - begin for begin, end, _ in missing)

        def show(done: int, _: int | None) -> None:
            if progress:
                progress(found + done, len(texts))

        before = 0
        blocks = encoder.stream(_texts_of(texts, missing), progress=show, **options)
        # One window of the encoder is one that is missing: each begins where the last one ended.
        with contextlib.closing(blocks):  # type: ignore[type-var]
            for (begin, end, key), block in zip(missing, blocks, strict=True):
                vectors[begin:end] = block
                folder.write(key, block, encoder.truncated - before)
                before = encoder.truncated
        return Encoded(vectors, cut + before, found, damaged, folder.unwritten)

    def summaries(self) -> list[CacheSummary]:
        """What the cache holds, by model and options, the one used last first."""
        return summarize(self.folder)

    def prune(
        self,
        *,
        older_than: float | None = None,
        max_size: int | None = None,
        now: Callable[[], float] = time.time,
    ) -> tuple[int, int]:
        """Remove entries, the least recently used first; without a limit, remove all of them.

        Only files that a cache writes are removed, and the temporary files of killed processes. A process
        that uses the cache at the same time encodes again what it does not find.

        Parameters
        ----------
        older_than : float, optional
            Remove entries that were not used for so many seconds.
        max_size : int, optional
            Remove entries until the cache has no more bytes than this.

        Returns
        -------
        entries, bytes : int
            That were removed.
        """
        return prune(self.folder, older_than=older_than, max_size=max_size, now=now)


# A window of texts that is not in the cache: where it begins and ends, and its hash.
Window = tuple[int, int, str]


def _read_windows(
    folder: CacheFolder, encoder: Encoder, texts: Sequence[str], vectors: NDArray[Any]
) -> tuple[list[Window], int, int]:
    """Fill vectors from the cache; returns the windows that are missing, texts cut, and damaged entries."""
    missing: list[Window] = []
    total_cut = damaged = start = 0
    for window in encoder.windows(texts):
        check_sentences(window, start=start)
        check_filled(texts, len(vectors), start + len(window), more_to_come=True)
        key, end = text_hash(window), start + len(window)
        cut = folder.read(key, vectors[start:end])
        damaged += cut == DAMAGED
        total_cut += max(0, cut)
        if cut < 0:
            missing.append((start, end, key))
        start = end
    check_filled(texts, len(vectors), start)
    return missing, total_cut, damaged


def _texts_of(texts: Sequence[str], windows: Iterable[Window]) -> Iterator[str]:
    return (texts[at] for begin, end, _ in windows for at in range(begin, end))
