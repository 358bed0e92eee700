"""Files as bytes: local ones, standard input, and whatever fsspec opens."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO

from lightmine.errors import LightmineError, MissingExtraError, TextError, one_line
from lightmine.io.compression import decompressed
from lightmine.io.formats import STDIN, is_url
from lightmine.io.limits import ReadLimits

CHUNK = 1 << 20
# What opens a protocol beside fsspec itself.
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp",
            "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "hdfs": "pyarrow", "sftp": "paramiko",
            "ssh": "paramiko", "hf": "huggingface_hub"}  # fmt: skip


def name_of(path: str) -> str:
    """What messages call a file."""
    return "standard input" if path == STDIN else path


def size_of(path: str) -> int | None:
    """Bytes of a file as it lies on the disk; None of a pipe, a URL or what is not there."""
    if path == STDIN or is_url(path):
        return None
    with contextlib.suppress(OSError, ValueError):
        about = os.stat(path)
        return about.st_size if stat.S_ISREG(about.st_mode) else None
    return None


def chunks(
    path: str, compression: str | None, limits: ReadLimits, tell: Callable[[int], object] = int
) -> Generator[bytes, None, None]:
    """The bytes of a file, unpacked, in pieces of about a megabyte at most.

    `tell` is called with how many bytes of the file itself were read, each time.

    Raises
    ------
    TextError
        The file cannot be read or unpacked.
    MissingExtraError
        A package that opens it is absent.
    """
    with _opened(path) as opened:

        def read(size: int) -> bytes:
            data = opened(size)
            tell(len(data))
            return data

        if compression is None:
            while data := read(CHUNK):
                yield data
            return
        for data in decompressed(read, compression, name_of(path), limits):
            for start in range(0, len(data), CHUNK):
                yield data[start : start + CHUNK]


@contextlib.contextmanager
def seekable(path: str, compression: str | None, limits: ReadLimits) -> Iterator[BinaryIO]:
    """A file that can be read from any place; what cannot is copied to a temporary file first."""
    if path != STDIN and compression is None and not is_url(path):
        with _local(path) as file:
            if file.seekable():
                yield file
                return
    with tempfile.TemporaryFile() as copy:
        for data in chunks(path, compression, limits):
            copy.write(data)
        copy.seek(0)
        yield copy


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Callable[[int], bytes]]:
    """A function that reads the next bytes; what goes wrong meanwhile is a `TextError`."""
    name = name_of(path)
    with contextlib.ExitStack() as stack:
        file: Any
        if path == STDIN:
            file = sys.stdin.buffer
        elif is_url(path):
            file = stack.enter_context(_remote(path))
        else:
            file = stack.enter_context(_local(path))

        def read(size: int) -> bytes:
            try:
                data: bytes = file.read(size)
            except (LightmineError, KeyboardInterrupt, SystemExit):
                raise
            except OSError as error:
                raise TextError(f"{name}: cannot be read: {error.strerror or error}") from None
            except Exception as error:  # what a network has to say
                raise TextError(f"{name}: cannot be read: {_one_line(error)}") from None
            return data

        yield read


def _local(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise TextError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise TextError(f"{path}: is a directory; name a text file in it") from None
    except ValueError as error:  # a null character in the name
        raise TextError(f"{path!r}: cannot be read: {error}") from None
    except OSError as error:
        raise TextError(f"{path}: cannot be read: {error.strerror}") from None


def _remote(url: str) -> Any:
    filesystem, path = remote(url)
    try:
        return filesystem.open(path, "rb")
    except FileNotFoundError:
        raise TextError(f"{url}: no such file") from None
    except Exception as error:
        raise TextError(f"{url}: cannot be opened: {_one_line(error)}") from None


def remote(url: str) -> tuple[Any, str]:
    """The file system that fsspec has for a URL, and the path there.

    Raises
    ------
    MissingExtraError
        fsspec, or the package that it needs for this protocol, is absent.
    TextError
        There is no such protocol.
    """
    protocol = url.partition("://")[0].rpartition("::")[2]
    package = PACKAGES.get(protocol)
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except ImportError as error:
        why = f"{package or 'fsspec'}" if package or "fsspec" in str(error) else _one_line(error)
        more = [package] if package else []
        raise MissingExtraError.of("remote", f"{url}: {protocol}:// needs {why}", *more) from None
    except Exception as error:
        raise TextError(f"{url}: cannot be opened: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}")
