"""Files that outlive a kill: synced before they are named, and written by one process at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lightmine.errors import StoreError

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
    part = beside(target)
    try:
        with part.open("wb") as file:
            # A part that can be locked belongs to nobody any more.
            _lock(file)
            yield file
            file.flush()
            if durable:
                sync(file)
            part.replace(target)
        if durable:
            sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def is_abandoned(part: Path) -> bool:
    """Whether whoever wrote this part is gone, by a kill."""
    try:
        with part.open("rb") as file:
            return _lock(file)
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


def _lock(file: BinaryIO) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


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
