"""Files that a kill leaves complete: synced before they are renamed, and locked while they are written."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lightmine.errors import OutputError, StoreError

try:
    import fcntl
except ImportError:  # not POSIX: no locks there
    fcntl = None  # type: ignore[assignment]

# What to do about errors that say that there is no space: of the disk, a quota, the limit of the process.
NO_SPACE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
}


def sync(file: BinaryIO) -> None:
    """Write buffered data to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Write the names of the files in a folder to the disk."""
    # Some file systems cannot, and do not need it.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def temporary_path(target: Path) -> Path:
    """A hidden file in the folder of the target, with a name of its own that ends in ``.part``."""
    return target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


@contextlib.contextmanager
def atomic_write(target: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A new file that replaces the target at the end, complete and on the disk; after an error it is removed.

    With ``durable=False`` nothing is synced: after a power failure the file may be incomplete.

    Raises
    ------
    OSError
        The file cannot be written; the target is unchanged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> target = pathlib.Path(tempfile.mkdtemp(), "whole.txt")
    >>> with atomic_write(target) as file:
    ...     _ = file.write(b"all of it")
    ...     target.exists()
    False
    >>> target.read_bytes()
    b'all of it'
    """
    if durable:
        remove_abandoned(target)
    part = temporary_path(target)
    try:
        with part.open("wb") as file:
            # The lock shows other processes that the writer is alive.
            _lock(file)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            part.replace(target)
        if durable:
            sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_error(path: str | Path, error: OSError) -> OutputError:
    """The error for a file that cannot be written; says what to do where there is no space for it.

    Examples
    --------
    >>> print(write_error("x.npy", OSError(errno.ENOSPC, "No space left on device")))
    x.npy: cannot be written: No space left on device; free some space and run the command again
    """
    advice = f"; {NO_SPACE[error.errno]} and run the command again" if error.errno in NO_SPACE else ""
    return OutputError(f"{path}: cannot be written: {error.strerror or error}{advice}")


def remove_abandoned(target: Path) -> None:
    """Remove temporary files of this target whose writers were killed."""
    known = re.compile(rf"\.{re.escape(target.name)}\.[0-9]+-[0-9a-f]{{8}}\.part")
    with contextlib.suppress(OSError):
        for part in [path for path in target.parent.iterdir() if known.fullmatch(path.name)]:
            if is_abandoned(part):
                part.unlink()


def is_abandoned(part: Path) -> bool:
    """Whether the process that wrote a temporary file has ended; False if the system cannot tell."""
    try:
        with part.open("rb") as file:
            return _lock(file, unknown=False)
    except OSError:
        return False


@contextlib.contextmanager
def open_locked(path: Path) -> Iterator[BinaryIO]:
    """A file, made if it does not exist, open to read and write and locked by this process.

    Raises
    ------
    StoreError
        Another process has locked it.
    """
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # noqa: SIM115
        with file:
            if not _lock(file):
                raise StoreError(f"{path}: in use: another process writes there; wait for it, or stop it")
            # Between opening and locking another process may have finished and removed the file.
            if not _is_at(file, path):
                continue
            yield file
            return


def _lock(file: Any, *, unknown: bool = True) -> bool:
    """Whether this process has the lock now; `unknown` if the system or file system has no locks."""
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


def free_space(folder: Path) -> int | None:
    """Bytes that can still be written to the disk of a folder; None if it does not tell."""
    try:
        disk = shutil.disk_usage(folder)
    except OSError:
        return None
    return disk.free if disk.total else None


def format_size(size: float) -> str:
    """A number of bytes in a readable unit.

    Examples
    --------
    >>> format_size(999), format_size(123_456), format_size(2_345_678_901)
    ('999 bytes', '123 kB', '2.35 GB')
    """
    units = ("bytes", "kB", "MB", "GB", "TB", "PB")
    place = 0
    while size >= 999.5 and place < len(units) - 1:
        size, place = size / 1000, place + 1
    return f"{size:.3g} {units[place]}"
