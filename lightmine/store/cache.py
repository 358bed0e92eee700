"""Embeddings kept by their content: texts that were encoded before, in whatever file, are not encoded again.

::

    CACHE/IDENTITY/model.json    the model and options of what is in the folder
    CACHE/IDENTITY/TEXTS.npy     vectors of some texts in a row, by the texts' hash; behind the matrix, where
                                 NumPy does not look, how many of the texts were cut and a SHA-256 of it all

Entries appear whole by one rename and are checked whenever they are read, so jobs need not wait for each
other, and one that is killed leaves nothing that another would use.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.encoder import Encoder, Progress
from lightmine.encoder.sentences import check_container, check_filled, check_sentences
from lightmine.errors import OutputError
from lightmine.store.manifest import StoreHeader, header, text_hash
from lightmine.system.atomic_files import is_abandoned, replacing

ABOUT = "model.json"
TRAILER = struct.Struct("<q32s")
FOLDER = re.compile(r"[0-9a-f]{32}")
ENTRY = re.compile(r"[0-9a-f]{64}\.npy")
PART = re.compile(r"\.([0-9a-f]{64}\.npy|model\.json)\.[0-9]+-[0-9a-f]{8}\.part")


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Vectors, and where they come from.

    Attributes
    ----------
    vectors : array of shape (n, dimension)
    cut : int
        Sentences that were longer than the longest input.
    found : int
        Sentences whose vectors the cache had.
    damaged : int
        Entries that were not what had been written, and were made again.
    unwritten : str, optional
        Why new vectors could not be kept.
    """

    vectors: NDArray[Any]
    cut: int
    found: int
    damaged: int = 0
    unwritten: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kept:
    """What a cache has of one model and its options: entries, their sentences and bytes.

    ``used`` is the time when one of them was last read or written, in seconds as `time.time` counts them.
    """

    folder: Path
    head: StoreHeader | None
    entries: int
    sentences: int
    size: int
    used: float


@dataclasses.dataclass(frozen=True)
class _Entry:
    path: Path
    size: int
    used: float


class Cache:
    """A folder of embeddings by content.

    Parameters
    ----------
    folder : path or str
        Made where it is not there.

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
        """What `Encoder.encode` gives, to the byte: from the cache what it has, and the rest made and kept.

        Texts are looked up in the windows that the encoder works in. These depend on the texts alone, so
        what stands before or after a change is found.

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
        head = StoreHeader.of(encoder, options)
        shelf = _Shelf(self.folder, head)
        vectors = np.empty((len(texts), head.columns), head.dtype)
        missing: list[tuple[int, int, str]] = []
        cut = damaged = start = 0
        for window in encoder.windows(texts):
            check_sentences(window, start=start)
            check_filled(texts, len(vectors), start + len(window), more_to_come=True)
            key, rows = text_hash(window), vectors[start : start + len(window)]
            was_cut = shelf.read(key, rows)
            damaged += was_cut == DAMAGED
            cut += max(0, was_cut)
            if was_cut < 0:
                missing.append((start, start + len(window), key))
            start += len(window)
        check_filled(texts, len(vectors), start)
        found = len(texts) - sum(end - begin for begin, end, _ in missing)

        def show(done: int, _: int | None) -> None:
            if progress:
                progress(found + done, len(texts))

        before = 0
        blocks = encoder.stream(_texts_of(texts, missing), progress=show, **options)
        # One window of the encoder is one that is missing: each starts afresh where the last one ended.
        with contextlib.closing(blocks):  # type: ignore[type-var]
            for (begin, end, key), block in zip(missing, blocks, strict=True):
                vectors[begin:end] = block
                shelf.write(key, block, encoder.truncated - before)
                before = encoder.truncated
        return Encoded(vectors, cut + before, found, damaged, shelf.unwritten)

    def kept(self) -> list[Kept]:
        """What there is, by model and options, the last used first."""
        found = []
        for folder in self._folders():
            entries = _entries(folder)
            head = _about(folder)
            size = sum(entry.size for entry in entries)
            sentences = 0
            if head is not None:
                extra = len(header(head, 0)) + TRAILER.size
                sentences = sum(max(0, entry.size - extra) // head.row_bytes for entry in entries)
            if entries:
                used = max(entry.used for entry in entries)
                found.append(
                    Kept(folder=folder, head=head, entries=len(entries), sentences=sentences, size=size,
                         used=used)
                )  # fmt: skip
        return sorted(found, key=lambda kept: -kept.used)

    def prune(
        self,
        *,
        older_than: float | None = None,
        max_size: int | None = None,
        now: Callable[[], float] = time.time,
    ) -> tuple[int, int]:
        """Remove entries, those first that were not used for longest; without a limit, all of them.

        Only what a cache writes is removed, and what killed jobs left of it. Jobs that use the cache
        meanwhile make again what they miss.

        Parameters
        ----------
        older_than : float, optional
            Remove what was not used for so many seconds.
        max_size : int, optional
            Remove until no more bytes than these are left.

        Returns
        -------
        entries, bytes : int
            That were removed.
        """
        everything = older_than is None and max_size is None
        folders = list(self._folders())
        for part in (part for folder in folders for part in _paths(folder) if PART.fullmatch(part.name)):
            if is_abandoned(part):
                _remove(part)
        entries = sorted((entry for folder in folders for entry in _entries(folder)), key=lambda e: e.used)
        left = sum(entry.size for entry in entries)
        removed = size = 0
        for entry in entries:
            old = older_than is not None and now() - entry.used > older_than
            if everything or old or (max_size is not None and left > max_size):
                _remove(entry.path)
                removed, size, left = removed + 1, size + entry.size, left - entry.size
        for folder in folders:
            _remove_empty(folder)
        return removed, size

    def _folders(self) -> Iterator[Path]:
        for folder in _paths(self.folder):
            if FOLDER.fullmatch(folder.name) and folder.is_dir():
                yield folder


# What reading an entry gives in the place of a count.
ABSENT, DAMAGED = -1, -2


class _Shelf:
    """The folder of one model and its options."""

    def __init__(self, cache: Path, head: StoreHeader) -> None:
        made = hashlib.sha256(json.dumps(head.identity, sort_keys=True).encode())
        self.folder = cache / made.hexdigest()[:32]
        self.head = head
        self.unwritten: str | None = None

    def read(self, key: str, rows: NDArray[Any]) -> int:
        """Fill rows with an entry; returns how many of its texts were cut, ABSENT or DAMAGED."""
        path = self.folder / f"{key}.npy"
        start = header(self.head, len(rows))
        data = rows.data.cast("B")
        try:
            with path.open("rb") as file:
                found = file.read(len(start))
                read = file.readinto(data)
                trailer = file.read(TRAILER.size + 1)
        except OSError:
            return ABSENT
        if found != start or read != len(data) or len(trailer) != TRAILER.size:
            return DAMAGED
        cut, made = TRAILER.unpack(trailer)
        if not 0 <= cut <= len(rows) or made != _sum(start, data, cut):
            return DAMAGED
        # Where the cache is read-only, ages are not kept.
        with contextlib.suppress(OSError):
            path.touch()
        return int(cut)

    def write(self, key: str, rows: NDArray[Any], cut: int) -> None:
        """Keep an entry. Where that fails, `unwritten` says why and nothing more is tried."""
        if self.unwritten is not None:
            return
        path = self.folder / f"{key}.npy"
        start = header(self.head, len(rows))
        data = np.ascontiguousarray(rows).data.cast("B")
        try:
            # A prune at this moment can take the folder away, or its description: then once more.
            for _ in range(9):
                with contextlib.suppress(FileNotFoundError):
                    self.folder.mkdir(exist_ok=True)
                    _place(path, start, data, TRAILER.pack(cut, _sum(start, data, cut)))
                    if not (self.folder / ABOUT).exists():
                        text = json.dumps(self.head.json(), indent=1, ensure_ascii=False)
                        _place(self.folder / ABOUT, text.encode())
                    break
        except OSError as error:
            self.unwritten = f"{self.folder.parent}: {error.strerror or error}"


def _place(path: Path, *parts: bytes | memoryview) -> None:
    # Not synced: what the power takes is noticed when it is read.
    with replacing(path, durable=False) as file:
        file.writelines(parts)


def _sum(start: bytes, data: memoryview, cut: int) -> bytes:
    made = hashlib.sha256(start)
    made.update(data)
    made.update(cut.to_bytes(8, "little"))
    return made.digest()


def _texts_of(texts: Sequence[str], spans: Iterable[tuple[int, int, str]]) -> Iterator[str]:
    return (texts[at] for begin, end, _ in spans for at in range(begin, end))


def _paths(folder: Path) -> list[Path]:
    """What is in a folder that another prune may take away at any time."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _entries(folder: Path) -> list[_Entry]:
    found = []
    for path in _paths(folder):
        if ENTRY.fullmatch(path.name):
            with contextlib.suppress(OSError):
                about = path.stat()
                found.append(_Entry(path, about.st_size, about.st_mtime))
    return found


def _about(folder: Path) -> StoreHeader | None:
    try:
        return StoreHeader.parse(json.loads((folder / ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _remove_empty(folder: Path) -> None:
    """Take a folder away that has nothing but its description."""
    about = folder / ABOUT
    with contextlib.suppress(OSError):
        if any(path != about for path in folder.iterdir()):
            return
        text = about.read_bytes()
        about.unlink()
        try:
            folder.rmdir()
        except OSError:
            # A job has put something in meanwhile.
            _place(about, text)
