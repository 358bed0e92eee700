"""Sentences to a file of embeddings, continued after a kill where it stood.

While it is written, ``x.npy.part`` holds the rows behind an empty place for the header, so that NumPy takes
it for nothing, and ``x.npy.part.jsonl`` the journal: a line for the model and options, and one for each
block whose rows are on the disk. The journal is locked by whoever writes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.encoder import Encoder, Progress
from lightmine.errors import OutputError, StoreError, TextError
from lightmine.store.journal import journal_path, journalled, part_path, tidied
from lightmine.store.manifest import (
    Manifest,
    StoreHeader,
    WrittenRows,
    hash_of,
    header,
    manifest_path,
    pieces,
    read_manifest,
    text_hash,
)
from lightmine.store.reader import Reader
from lightmine.system.atomic_files import (
    locked,
    replacing,
    room,
    size_in_words,
    sync,
    sync_folder,
    write_error,
)

# Rows of blank lines that are written at once.
BLANK_ROWS = 1 << 14


@dataclasses.dataclass(frozen=True)
class Written:
    """What a file of embeddings holds now.

    Attributes
    ----------
    manifest : Manifest
    found : int
        Rows that were there already.
    """

    manifest: Manifest
    found: int


def write_embeddings(
    path: str | Path,
    encoder: Encoder,
    lines: Iterable[str],
    *,
    name: str = "the input",
    restart: bool = False,
    more_than: Callable[[int], bool] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Written:
    """Encode lines to a ``.npy`` file that appears whole or not at all, in bounded memory.

    What an earlier call with the same lines, model and options has finished is not done again: a call that
    was killed goes on at the first block that it had not finished, to the same bytes.

    Parameters
    ----------
    path : path or str
    encoder : Encoder
    lines : iterable of str
        Row i is item i. Blank ones (empty, or only white space) have rows of zeros, and so have those in
        which the tokenizer finds no token; the manifest counts them.
    name : str
        What messages call the lines.
    restart : bool
        Begin anew, whatever is there. A finished file stays until the new one is whole.
    more_than : callable, optional
        Tells whether there are more lines than a number of them: then the disk is asked first, and refused
        where it cannot hold their rows. Lines that have a length are counted anyway.
    progress : callable, optional
        Called with the number of sentences done, and None.
    **options
        As for `Encoder.encode`.

    Raises
    ------
    StoreError
        What is there is of other lines, another model or other options; or another process writes it.
    OutputError
        It cannot be written; what was finished before is kept, and the same call goes on there.
    TextError
        There are no lines, or all are blank.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path, lines = pathlib.Path(tempfile.mkdtemp(), "x.npy"), ["one", "", "three"]
    >>> written = write_embeddings(path, Encoder.load(), lines)
    >>> np.load(path, mmap_mode="r").shape, written.found
    ((3, 320), 0)
    >>> write_embeddings(path, Encoder.load(), lines).found
    3
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputError(f"{path}: is a directory; name a file in it")
    head = StoreHeader.of(encoder, options)
    if more_than is None and isinstance(lines, Sized):
        more_than = len(lines).__gt__
    reader = Reader(lines, name)
    job = None
    try:
        with locked(journal_path(target)) as journal, tidied(target, journal):
            job = _Job(target, journal, head, str(path))
            with contextlib.closing(job):
                job.open(restart=restart)
                job.check_room(more_than)
                job.check(reader)
                found = job.manifest.rows
                if not job.finished:
                    with job.undone_on_error():
                        job.encode(encoder, reader, options, progress)
                        job.finish()
                return Written(job.manifest, found)
    except OSError as error:
        kept = (
            f"; {job.manifest.rows:,} rows are kept: the same command resumes after them"
            if job and job.blocks
            else ""
        )
        raise OutputError(f"{write_error(path, error)}{kept}") from None


class _Job:
    """One file on its way: what of it is on the disk, and how the next block gets there."""

    def __init__(self, target: Path, journal: BinaryIO, head: StoreHeader, called: str) -> None:
        self.target, self.head, self.called = target, head, called
        self.blocks: list[WrittenRows] = []
        self.finished = False
        self._journal = journal
        self._data: BinaryIO | None = None
        self._start = len(header(head, 0))

    def open(self, *, restart: bool) -> None:
        """Find what is there, and refuse what is of another model or other options."""
        old, blocks = (None, []) if restart else journalled(self._journal)
        if old is not None and blocks:
            _check_same(self.called, old, self.head, "an unfinished file is")
            self._continue(blocks)
        elif not restart and self.target.exists():
            self._finished()
        else:
            self._begin()

    def close(self) -> None:
        """Let go of the rows' file."""
        if self._data is not None:
            # What an error left in the buffer is dropped.
            with contextlib.suppress(OSError):
                self._data.close()

    @property
    def manifest(self) -> Manifest:
        """What is on the disk."""
        return Manifest(self.head, tuple(self.blocks))

    @property
    def end(self) -> int:
        """Where the file ends, in bytes, as far as it is on the disk."""
        return self._start + self.manifest.rows * self.head.row_bytes

    def check_room(self, more_than: Callable[[int], bool] | None) -> None:
        """Fail for want of room before the work, where it is sure that the disk cannot hold all rows."""
        left = room(self.target.parent)
        if self.finished or more_than is None or left is None:
            return
        if more_than(self.manifest.rows + left // self.head.row_bytes):
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, {size_in_words(left)} are free")

    def _begin(self) -> None:
        self._journal.truncate(0)
        self._journal.seek(0)
        self._data = part_path(self.target).open("w+b")
        self._data.write(bytes(self._start))
        sync(self._data)
        self._note(self.head.json())

    def _finished(self) -> None:
        try:
            old = read_manifest(self.target)
        except StoreError as error:
            raise StoreError(f"{error}; --restart replaces it") from None
        _check_same(self.called, old.head, self.head, "it is")
        if self.target.stat().st_size != self._start + old.rows * old.head.row_bytes:
            raise StoreError(f"{self.called}: is not as long as its manifest says; --restart makes it again")
        self.blocks, self.finished = list(old.blocks), True

    def _continue(self, blocks: list[tuple[WrittenRows, int]]) -> None:
        part = part_path(self.target)
        if not part.exists():
            self._name_last(blocks)
            return
        self._data = part.open("r+b")
        kept = self._undamaged(self._data, blocks)
        if not kept:
            self._data.close()
            self._begin()
            return
        self._journal.truncate(kept)
        self._journal.seek(kept)
        self._data.seek(0)
        self._data.write(bytes(self._start))
        self._data.truncate(self.end)
        self._data.seek(self.end)

    def _name_last(self, blocks: list[tuple[WrittenRows, int]]) -> None:
        """After a kill between the two names of the last step: the rows have theirs, the manifest not."""
        with contextlib.suppress(FileNotFoundError), self.target.open("rb") as file:
            whole = self._undamaged(file, blocks) == blocks[-1][1] and not file.read(1)
            file.seek(0)
            if whole and file.read(self._start) == header(self.head, self.manifest.rows):
                with replacing(manifest_path(self.target)) as beside:
                    beside.write(self.manifest.json())
                self.finished = True
                return
        self.blocks = []
        self._begin()

    def _undamaged(self, file: BinaryIO, blocks: list[tuple[WrittenRows, int]]) -> int:
        """Take blocks up to the first whose rows are not what was written, whatever the power or the disk
        did; returns where the journal of those ends."""
        file.seek(self._start)
        kept = 0
        for block, end in blocks:
            if hash_of(file, block.rows * self.head.row_bytes) != block.data:
                break
            self.blocks.append(block)
            kept = end
        return kept

    def check(self, reader: Reader) -> None:
        """Refuse other lines than those whose rows are there."""
        start = 1
        for block in self.blocks:
            texts = list(reader.sentences(block.rows))
            gaps, _ = reader.take(len(texts)) if len(texts) == block.sentences else ([], None)
            if block.sentences == 0:
                gaps, reader.blank = [reader.blank], 0
            if reader.rows != start + block.rows - 1 or text_hash(texts, gaps) != block.texts:
                raise StoreError(
                    f"{self.called}: {reader.name} is not what it was: lines {start:,} to "
                    f"{start + block.rows - 1:,} were others when they were encoded; --restart begins anew"
                )
            start += block.rows
        if self.finished and (rows := reader.rest()) >= start:
            raise StoreError(
                f"{self.called}: {reader.name} is not what it was: it had {start - 1:,} lines when they were "
                f"encoded, now {rows:,}; --restart begins anew"
            )

    def encode(
        self,
        encoder: Encoder,
        reader: Reader,
        options: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        """All blocks that are still to be done."""
        before, cut, without = self.manifest.sentences, 0, 0

        def show(done: int, _: int | None) -> None:
            if progress:
                progress(before + done, None)

        blocks = encoder.stream(reader.sentences(), progress=show, **options | {"no_tokens": "zeros"})
        # Closed at once where something stops the work: nobody is kept waiting for what is not wanted.
        with contextlib.closing(blocks):  # type: ignore[type-var]
            for vectors in blocks:
                gaps, texts = reader.take(len(vectors))
                now_cut, now_without = encoder.truncated, len(encoder.without_tokens)
                self._append(gaps, vectors, text_hash(texts, gaps), now_cut - cut, now_without - without)
                cut, without = now_cut, now_without
        if not self.manifest.sentences:
            rows = f"has {reader.rows:,} lines, all of them blank" if reader.rows else "is empty"
            raise TextError(f"{reader.name}: {rows}; one sentence a line is needed")
        if reader.blank:
            none = np.empty((0, self.head.columns), self.head.dtype)
            self._append([reader.blank], none, text_hash([], [reader.blank]), 0, 0)

    def _append(self, gaps: list[int], vectors: NDArray[Any], texts: str, cut: int, without: int) -> None:
        """A block: its rows, and then the journal's line, each on the disk before the next step."""
        assert self._data is not None
        made = hashlib.sha256()
        rows = 0
        for piece in _with_blanks(gaps, vectors):
            for data in pieces(piece):
                self._data.write(data)
                made.update(data)
            rows += len(piece)
        sync(self._data)
        block = WrittenRows(rows, len(vectors), cut, texts, made.hexdigest(), without)
        self._note(dataclasses.asdict(block))
        self.blocks.append(block)

    def _note(self, entry: dict[str, Any]) -> None:
        self._journal.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        sync(self._journal)

    @contextlib.contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """After a failed write, keep only the blocks that are finished."""
        try:
            yield
        except OSError:
            self.close()
            with contextlib.suppress(OSError):
                os.truncate(part_path(self.target), self.end)
            raise

    def finish(self) -> None:
        """The header, then both names: at no time does a manifest stand beside another's rows."""
        assert self._data is not None
        self._data.seek(0)
        self._data.write(header(self.head, self.manifest.rows))
        sync(self._data)
        self._data.close()
        beside = manifest_path(self.target)
        with replacing(beside) as file:
            file.write(self.manifest.json())
            sync(file)  # what fails for want of room fails before anything has changed
            beside.unlink(missing_ok=True)
            part_path(self.target).replace(self.target)
            sync_folder(self.target.parent)
        self.finished = True


def _with_blanks(gaps: list[int], vectors: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Rows of zeros before each vector, as many as its gap says, and after the last one where one is over."""
    places = np.cumsum(gaps) + np.arange(len(gaps))
    if not any(gaps):
        yield vectors
        return
    rows = sum(gaps) + len(vectors)
    for start in range(0, rows, BLANK_ROWS):
        first, last = np.searchsorted(places[: len(vectors)], [start, start + BLANK_ROWS])
        piece = np.zeros((min(BLANK_ROWS, rows - start), vectors.shape[1]), vectors.dtype)
        piece[places[first:last] - start] = vectors[first:last]
        yield piece


def _check_same(called: str, old: StoreHeader, new: StoreHeader, what: str) -> None:
    if found := old.differences(new):
        raise StoreError(f"{called}: {what} of another {', '.join(found)}; --restart begins anew")
