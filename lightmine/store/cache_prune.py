"""What a cache holds, by model and options, and what is removed from it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from lightmine.store.cache_folder import (
    DESCRIPTION,
    TRAILER,
    list_entries,
    list_paths,
    read_description,
    write_parts,
)
from lightmine.store.manifest import StoreHeader, npy_header
from lightmine.system.atomic_files import is_abandoned

FOLDER_NAME = re.compile(r"[0-9a-f]{32}")
PART_NAME = re.compile(r"\.([0-9a-f]{64}\.npy|model\.json)\.[0-9]+-[0-9a-f]{8}\.part")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheSummary:
    """The entries that a cache has of one model and its options, their sentences and bytes.

    ``used`` is the time when one of them was last read or written, in seconds as `time.time` gives them;
    ``header`` is None if the folder does not say what it holds.
    """

    folder: Path
    header: StoreHeader | None
    entries: int
    sentences: int
    size: int
    used: float


def summarize(cache: Path) -> list[CacheSummary]:
    """The summary of each folder that has entries, the one used last first."""
    found = []
    for folder in _folders(cache):
        entries = list_entries(folder)
        if not entries:
            continue
        header = read_description(folder)
        size = sum(entry.size for entry in entries)
        sentences = 0
        if header is not None:
            extra = len(npy_header(header, 0)) + TRAILER.size
            sentences = sum(max(0, entry.size - extra) // header.row_bytes for entry in entries)
        used = max(entry.used for entry in entries)
        found.append(
            CacheSummary(folder=folder, header=header, entries=len(entries), sentences=sentences, size=size,
                         used=used)
        )  # fmt: skip
    return sorted(found, key=lambda summary: -summary.used)


def prune(
    cache: Path, *, older_than: float | None, max_size: int | None, now: Callable[[], float]
) -> tuple[int, int]:
    """Remove entries, and the temporary files of processes that were killed; see `Cache.prune`."""
    everything = older_than is None and max_size is None
    folders = list(_folders(cache))
    for part in (part for folder in folders for part in list_paths(folder) if PART_NAME.fullmatch(part.name)):
        if is_abandoned(part):
            _remove(part)
    entries = sorted((entry for folder in folders for entry in list_entries(folder)), key=lambda e: e.used)
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


def _folders(cache: Path) -> Iterator[Path]:
    for folder in list_paths(cache):
        if FOLDER_NAME.fullmatch(folder.name) and folder.is_dir():
            yield folder


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _remove_empty(folder: Path) -> None:
    """Remove a folder that has nothing but its description."""
    description = folder / DESCRIPTION
    with contextlib.suppress(OSError):
        if any(path != description for path in folder.iterdir()):
            return
        text = description.read_bytes()
        description.unlink()
        try:
            folder.rmdir()
        except OSError:
            # Another process has written an entry meanwhile.
            write_parts(description, text)
