"""A matrix file while it is written: which blocks it has, whether it can be resumed, how a block is added.

``x.npy.part`` has zeros in the place of the header, so NumPy refuses to read it. The header is written last.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import StoreError
from lightmine.store.hashing import file_hash, row_chunks, text_hash
from lightmine.store.input_lines import InputLines
from lightmine.store.journal import part_path, read_journal
from lightmine.store.manifest import (
    StoreHeader,
    StoreManifest,
    WrittenRows,
    manifest_path,
    npy_header,
    read_manifest,
)
from lightmine.system.atomic_files import atomic_write, format_size, free_space, sync, sync_folder

# Rows of blank lines that are written at once.
BLANK_ROWS = 1 << 14


class MatrixFile:
    """A matrix file that is written block by block.

    Parameters
    ----------
    target : path
        Where the finished file will be.
    journal : binary file
        The journal, open and locked.
    header : StoreHeader
        The model and options of the rows.
    name : str
        What messages call the file.

    Attributes
    ----------
    blocks : list of WrittenRows
        The blocks that are on the disk.
    finished : bool
        The matrix and its manifest are both in their places.
    """

    def __init__(self, target: Path, journal: BinaryIO, header: StoreHeader, name: str) -> None:
        self.target, self.header, self.name = target, header, name
        self.blocks: list[WrittenRows] = []
        self.finished = False
        self._journal = journal
        self._data: BinaryIO | None = None
        self._header_size = len(npy_header(header, 0))

    def open(self, *, restart: bool) -> None:
        """Find the blocks that are there; refuse those of another model or of other options."""
        old, blocks = (None, []) if restart else read_journal(self._journal)
        if old is not None and blocks:
            self._check_same(old, "an unfinished file is")
            self._resume(blocks)
        elif not restart and self.target.exists():
            self._open_finished()
        else:
            self._begin()

    def close(self) -> None:
        """Close the file of the rows."""
        if self._data is not None:
            # After an error the buffer cannot be written either.
            with contextlib.suppress(OSError):
                self._data.close()

    @property
    def manifest(self) -> StoreManifest:
        """The manifest of the blocks that are on the disk."""
        return StoreManifest(self.header, tuple(self.blocks))

    @property
    def end(self) -> int:
        """The size in bytes of the header and of the blocks that are on the disk."""
        return self._header_size + self.manifest.rows * self.header.row_bytes

    def check_free_space(self, more_than: Callable[[int], bool] | None) -> None:
        """Raise the error of a full disk before the work, if the disk surely cannot hold all rows."""
        free = free_space(self.target.parent)
        if self.finished or more_than is None or free is None:
            return
        if more_than(self.manifest.rows + free // self.header.row_bytes):
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, {format_size(free)} are free")

    def _begin(self) -> None:
        """Start an empty file."""
        self._journal.truncate(0)
        self._journal.seek(0)
        self._data = part_path(self.target).open("w+b")
        self._data.write(bytes(self._header_size))
        sync(self._data)
        self._write_journal(self.header.json())

    def _open_finished(self) -> None:
        """Take the blocks of a finished file from its manifest."""
        try:
            old = read_manifest(self.target)
        except StoreError as error:
            raise StoreError(f"{error}; --restart replaces it") from None
        self._check_same(old.header, "it is")
        if self.target.stat().st_size != self._header_size + old.rows * old.header.row_bytes:
            raise StoreError(f"{self.name}: is not as long as its manifest says; --restart writes it again")
        self.blocks, self.finished = list(old.blocks), True

    def _check_same(self, old: StoreHeader, subject: str) -> None:
        if found := old.differences(self.header):
            raise StoreError(f"{self.name}: {subject} of another {', '.join(found)}; --restart starts over")

    def _resume(self, blocks: list[tuple[WrittenRows, int]]) -> None:
        """Take the undamaged blocks of an unfinished file, and remove what follows them."""
        part = part_path(self.target)
        if not part.exists():
            self._finish_renaming(blocks)
            return
        self._data = part.open("r+b")
        journal_end = self._take_undamaged(self._data, blocks)
        if not journal_end:
            self._data.close()
            self._begin()
            return
        self._journal.truncate(journal_end)
        self._journal.seek(journal_end)
        self._data.seek(0)
        self._data.write(bytes(self._header_size))
        self._data.truncate(self.end)
        self._data.seek(self.end)

    def _finish_renaming(self, blocks: list[tuple[WrittenRows, int]]) -> None:
        """Write the manifest if the process was killed after the matrix was renamed and before that."""
        with contextlib.suppress(FileNotFoundError), self.target.open("rb") as file:
            whole = self._take_undamaged(file, blocks) == blocks[-1][1] and not file.read(1)
            file.seek(0)
            if whole and file.read(self._header_size) == npy_header(self.header, self.manifest.rows):
                with atomic_write(manifest_path(self.target)) as manifest:
                    manifest.write(self.manifest.json())
                self.finished = True
                return
        self.blocks = []
        self._begin()

    def _take_undamaged(self, file: BinaryIO, blocks: list[tuple[WrittenRows, int]]) -> int:
        """Take the blocks before the first damaged one; returns where they end in the journal."""
        file.seek(self._header_size)
        journal_end = 0
        for block, end in blocks:
            if file_hash(file, block.rows * self.header.row_bytes) != block.data:
                break
            self.blocks.append(block)
            journal_end = end
        return journal_end

    def check_lines(self, lines: InputLines) -> None:
        """Refuse input whose first lines are not those of the blocks that are on the disk."""
        start = 1
        for block in self.blocks:
            texts = list(lines.sentences(block.rows))
            gaps, _ = lines.take(len(texts)) if len(texts) == block.sentences else ([], None)
            if block.sentences == 0:
                gaps, lines.blank = [lines.blank], 0
            if lines.rows != start + block.rows - 1 or text_hash(texts, gaps) != block.texts:
                raise StoreError(
                    f"{self.name}: {lines.name} has changed: lines {start:,} to {start + block.rows - 1:,} "
                    "are not those that were encoded; --restart starts over"
                )
            start += block.rows
        if self.finished and (rows := lines.count()) >= start:
            raise StoreError(
                f"{self.name}: {lines.name} has changed: it had {start - 1:,} lines when they were "
                f"encoded, now {rows:,}; --restart starts over"
            )

    def append(
        self, gaps: list[int], vectors: NDArray[Any], texts: str, cut: int, without_tokens: int
    ) -> None:
        """Write a block: first its rows, then its line of the journal, each synced before the next step.

        Parameters
        ----------
        gaps : list of int
            Blank lines before each vector, and after the last one if there is one number more.
        vectors : array of shape (n, columns)
        texts : str
            The hash of the texts.
        cut, without_tokens : int
            Sentences that were cut, and sentences without a token.
        """
        assert self._data is not None
        digest = hashlib.sha256()
        rows = 0
        for chunk in _with_blank_rows(gaps, vectors):
            for data in row_chunks(chunk):
                self._data.write(data)
                digest.update(data)
            rows += len(chunk)
        sync(self._data)
        block = WrittenRows(rows, len(vectors), cut, texts, digest.hexdigest(), without_tokens)
        self._write_journal(dataclasses.asdict(block))
        self.blocks.append(block)

    def _write_journal(self, entry: dict[str, Any]) -> None:
        self._journal.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        sync(self._journal)

    @contextlib.contextmanager
    def truncated_on_error(self) -> Iterator[None]:
        """After a failed write, remove everything behind the blocks that are finished."""
        try:
            yield
        except OSError:
            self.close()
            with contextlib.suppress(OSError):
                os.truncate(part_path(self.target), self.end)
            raise

    def finish(self) -> None:
        """Write the header and the manifest, and rename both files.

        At no time is there a manifest beside the rows of another file.
        """
        assert self._data is not None
        self._data.seek(0)
        self._data.write(npy_header(self.header, self.manifest.rows))
        sync(self._data)
        self._data.close()
        path = manifest_path(self.target)
        with atomic_write(path) as manifest:
            manifest.write(self.manifest.json())
            sync(manifest)  # a full disk fails here, before anything has changed
            path.unlink(missing_ok=True)
            part_path(self.target).replace(self.target)
            sync_folder(self.target.parent)
        self.finished = True


def _with_blank_rows(gaps: list[int], vectors: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The vectors, with rows of zeros before each as `gaps` says, and after the last if one gap is left."""
    places = np.cumsum(gaps) + np.arange(len(gaps))
    if not any(gaps):
        yield vectors
        return
    rows = sum(gaps) + len(vectors)
    for start in range(0, rows, BLANK_ROWS):
        first, last = np.searchsorted(places[: len(vectors)], [start, start + BLANK_ROWS])
        chunk = np.zeros((min(BLANK_ROWS, rows - start), vectors.shape[1]), vectors.dtype)
        chunk[places[first:last] - start] = vectors[first:last]
        yield chunk
