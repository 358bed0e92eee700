"""The entries of one model and its options in a cache.

::

    CACHE/IDENTITY/model.json    the model and options of the folder
    CACHE/IDENTITY/TEXTS.npy     an entry: the vectors of consecutive texts, named by the hash of the texts;
                                 after the matrix, where NumPy does not read, how many of the texts were cut
                                 and a SHA-256 of the whole entry

There is no lock: an entry is written beside its place and renamed, and one that was pruned meanwhile is made
again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.store.manifest import StoreHeader, npy_header
from lightmine.system.atomic_files import atomic_write

DESCRIPTION = "model.json"
# Writes of an entry that a prune may undo before it is an error.
TRIES = 9
TRAILER = struct.Struct("<q32s")
ENTRY_NAME = re.compile(r"[0-9a-f]{64}\.npy")
# What `CacheFolder.read` returns if there is no such entry, or if the entry is damaged.
ABSENT, DAMAGED = -1, -2


@dataclasses.dataclass(frozen=True)
class CacheEntry:
    """A file of a cache; `used` is when it was last read or written, in seconds as `time.time` gives them."""

    path: Path
    size: int
    used: float


class CacheFolder:
    """Reads and writes the entries of one model and its options.

    Attributes
    ----------
    folder : path
    unwritten : str, optional
        Why an entry could not be written; after that none is.
    """

    def __init__(self, cache: Path, header: StoreHeader) -> None:
        digest = hashlib.sha256(json.dumps(header.identity, sort_keys=True).encode())
        self.folder = cache / digest.hexdigest()[:32]
        self.unwritten: str | None = None
        self._header = header

    def read(self, key: str, rows: NDArray[Any]) -> int:
        """Fill rows with an entry; returns how many of its texts were cut, ABSENT or DAMAGED."""
        path = self.folder / f"{key}.npy"
        expected = npy_header(self._header, len(rows))
        data = rows.data.cast("B")
        try:
            with path.open("rb") as file:
                found = file.read(len(expected))
                size = file.readinto(data)
                trailer = file.read(TRAILER.size + 1)
        except OSError:
            return ABSENT
        if found != expected or size != len(data) or len(trailer) != TRAILER.size:
            return DAMAGED
        cut, checksum = TRAILER.unpack(trailer)
        if not 0 <= cut <= len(rows) or checksum != _checksum(expected, data, cut):
            return DAMAGED
        # The time of the last use is for prune. In a read-only cache it stays as it is.
        with contextlib.suppress(OSError):
            path.touch()
        return int(cut)

    def write(self, key: str, rows: NDArray[Any], cut: int) -> None:
        """Write an entry. After an error `unwritten` says why, and no further entry is written."""
        if self.unwritten is not None:
            return
        path = self.folder / f"{key}.npy"
        start = npy_header(self._header, len(rows))
        data = np.ascontiguousarray(rows).data.cast("B")
        try:
            # A prune of another process can remove the folder or its description at this moment: try again.
            # Between the two looks of mkdir the folder can go too, and mkdir then says that it exists.
            for attempt in range(TRIES):
                try:
                    self.folder.mkdir(exist_ok=True)
                    write_parts(path, start, data, TRAILER.pack(cut, _checksum(start, data, cut)))
                    if not (self.folder / DESCRIPTION).exists():
                        text = json.dumps(self._header.json(), indent=1, ensure_ascii=False)
                        write_parts(self.folder / DESCRIPTION, text.encode())
                    break
                except (FileNotFoundError, FileExistsError):
                    if attempt == TRIES - 1:
                        raise
        except OSError as error:
            self.unwritten = f"{self.folder.parent}: {error.strerror or error}"


def write_parts(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file of a cache."""
    # It is not synced: an entry that a power failure has damaged is detected when it is read.
    with atomic_write(path, durable=False) as file:
        file.writelines(parts)


def read_description(folder: Path) -> StoreHeader | None:
    """The model and options of a folder; None if it has no valid description."""
    try:
        return StoreHeader.parse(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def list_entries(folder: Path) -> list[CacheEntry]:
    """The entries of a folder."""
    entries = []
    for path in list_paths(folder):
        if ENTRY_NAME.fullmatch(path.name):
            with contextlib.suppress(OSError):
                about = path.stat()
                entries.append(CacheEntry(path, about.st_size, about.st_mtime))
    return entries


def list_paths(folder: Path) -> list[Path]:
    """What is in a folder; another process may remove the folder at any time."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _checksum(start: bytes, data: memoryview, cut: int) -> bytes:
    digest = hashlib.sha256(start)
    digest.update(data)
    digest.update(cut.to_bytes(8, "little"))
    return digest.digest()
