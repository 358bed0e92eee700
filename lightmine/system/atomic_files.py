"""Files that outlive a kill: synced before they are named, and written by one process at a time."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from lightmine.errors import OutputError, StoreError

try:
    import fcntl
except ImportError:  # not POSIX: no locks there
    fcntl = None  # type: ignore[assignment]

# What a write fails with where the disk, a quota or the process's own limit has no room.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def sync(file: BinaryIO) -> None:
    """Wait until what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    # Some file systems cannot, and then have no need to be asked.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def beside(target: Path) -> Path:
    """A name in the target's folder that no other writer has, hidden and ending in ``.part``."""
    return target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


@contextlib.contextmanager
def replacing(target: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A new file that takes the target's place at the end, whole and on the disk, or else is gone.

    Not `durable`, it is whole for every process, and after a loss of power perhaps not.

    Raises
    ------
    OutputError
        The disk has no room; it says how much is needed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> target = pathlib.Path(tempfile.mkdtemp(), "whole.txt")
    >>> with replacing(target) as file:
    ...     _ = file.write(b"all of it")
    ...     target.exists()
    False
    >>> target.read_bytes()
    b'all of it'
    """
    if durable:
        tidy(target)
    part = beside(target)
    try:
        with part.open("wb", buffering=0) as raw, io.BufferedWriter(_Measured(raw.fileno())) as file:
            # A part that can be locked belongs to nobody any more.
            _lock(raw)
            yield cast(BinaryIO, file)
            file.flush()
            measured = file.raw
            if measured.error is not None:
                raise OutputError(
                    f"{target}: cannot be written: {measured.error.strerror}; the whole needs "
                    f"{size_in_words(measured.size)}: make room"
                )
            if durable:
                os.fsync(raw.fileno())
            part.replace(target)
        if durable:
            sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


class _Measured(io.RawIOBase):
    """A file that goes on where the disk is full, to no effect but to know how long it would have been."""

    def __init__(self, number: int) -> None:
        self.error: OSError | None = None
        self.size = self._at = 0
        self._number = number

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def write(self, data: Any) -> int:
        done = memoryview(data).nbytes
        if self.error is None:
            try:
                done = os.write(self._number, data)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                self.error = error
                # What is there is of no use, and others may need the room.
                os.ftruncate(self._number, 0)
        self._at += done
        self.size = max(self.size, self._at)
        return done

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if self.error is None:
            os.lseek(self._number, self._at, os.SEEK_SET)
        return self._at

    def tell(self) -> int:
        return self._at


def tidy(target: Path) -> None:
    """Remove what killed writers of this file have left beside it."""
    known = re.compile(rf"\.{re.escape(target.name)}\.[0-9]+-[0-9a-f]{{8}}\.part")
    with contextlib.suppress(OSError):
        for part in [path for path in target.parent.iterdir() if known.fullmatch(path.name)]:
            if is_abandoned(part):
                part.unlink()


def is_abandoned(part: Path) -> bool:
    """Whether whoever wrote this part is gone, by a kill; False where nobody can tell."""
    try:
        with part.open("rb") as file:
            return _lock(file, unknown=False)
    except OSError:
        return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[BinaryIO]:
    """A file, made where it is not there, open to read and write, that no other process has open like this.

    Raises
    ------
    StoreError
        Another process has it.
    """
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # noqa: SIM115
        with file:
            if not _lock(file):
                raise StoreError(f"{path}: in use: another process writes there; wait for it, or stop it")
            # Between opening and locking the other may have finished, and taken the name away.
            if not _is_at(file, path):
                continue
            yield file
            return


def _lock(file: Any, *, unknown: bool = True) -> bool:
    """Whether the file is ours now; `unknown` where the system or the file system has no locks."""
    if fcntl is None:
        return unknown
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unknown
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def room(folder: Path) -> int | None:
    """Bytes that may still be written in a folder; None where its disk does not tell."""
    try:
        disk = shutil.disk_usage(folder)
    except OSError:
        return None
    return disk.free if disk.total else None


def size_in_words(size: float) -> str:
    """A number of bytes for people.

    Examples
    --------
    >>> size_in_words(999), size_in_words(123_456), size_in_words(2_345_678_901)
    ('999 bytes', '123 kB', '2.35 GB')
    """
    units = ("bytes", "kB", "MB", "GB", "TB", "PB")
    place = 0
    while size >= 999.5 and place < len(units) - 1:
        size, place = size / 1000, place + 1
    return f"{size:.3g} {units[place]}"
