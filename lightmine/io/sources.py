"""The bytes of a file: a local file, standard input, or a URL that fsspec opens."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO

from lightmine.errors import LightmineError, MissingExtraError, TextError, describe_error
from lightmine.io.compression import decompress
from lightmine.io.formats import STDIN, is_url
from lightmine.io.limits import ReadLimits

CHUNK = 1 << 20
# Packages that fsspec needs for a protocol.
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp",
            "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "hdfs": "pyarrow", "sftp": "paramiko",
            "ssh": "paramiko", "hf": "huggingface_hub"}  # fmt: skip


def name_of(path: str) -> str:
    """What messages call a file."""
    return "standard input" if path == STDIN else path


def size_of(path: str) -> int | None:
    """The size of a file on disk in bytes; None for a pipe, a URL or a file that does not exist."""
    if path == STDIN or is_url(path):
        return None
    with contextlib.suppress(OSError, ValueError):
        about = os.stat(path)
        return about.st_size if stat.S_ISREG(about.st_mode) else None
    return None


def read_chunks(
    path: str, compression: str | None, limits: ReadLimits, tell: Callable[[int], object] = int
) -> Generator[bytes, None, None]:
    """The bytes of a file, unpacked, in chunks of about a megabyte at most.

    `tell` is called after each read with the bytes that were read, before they are unpacked.

    Raises
    ------
    TextError
        The file cannot be read or unpacked.
    MissingExtraError
        The package that opens it is not installed.
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
        for data in decompress(read, compression, name_of(path), limits):
            for start in range(0, len(data), CHUNK):
                yield data[start : start + CHUNK]


@contextlib.contextmanager
def open_seekable(path: str, compression: str | None, limits: ReadLimits) -> Iterator[BinaryIO]:
    """A file in which one can seek; other inputs are copied to a temporary file first."""
    if path != STDIN and compression is None and not is_url(path):
        with _local(path) as file:
            if file.seekable():
                yield file
                return
    with tempfile.TemporaryFile() as copy:
        for data in read_chunks(path, compression, limits):
            copy.write(data)
        copy.seek(0)
        yield copy


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Callable[[int], bytes]]:
    """A function that reads the next bytes, and raises TextError if it cannot."""
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
            except Exception as error:  # any error of a network
                raise TextError(f"{name}: cannot be read: {describe_error(error)}") from None
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
    filesystem, path = filesystem_of(url)
    try:
        return filesystem.open(path, "rb")
    except FileNotFoundError:
        raise TextError(f"{url}: no such file") from None
    except Exception as error:
        raise TextError(f"{url}: cannot be opened: {describe_error(error)}") from None


def filesystem_of(url: str) -> tuple[Any, str]:
    """The file system of fsspec for a URL, and the path in it.

    Raises
    ------
    MissingExtraError
        fsspec, or the package that it needs for this protocol, is not installed.
    TextError
        The protocol is unknown.
    """
    protocol = url.partition("://")[0].rpartition("::")[2]
    package = PACKAGES.get(protocol)
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except ImportError as error:
        why = f"{package or 'fsspec'}" if package or "fsspec" in str(error) else describe_error(error)
        more = [package] if package else []
        raise MissingExtraError.of("remote", f"{url}: {protocol}:// needs {why}", *more) from None
    except Exception as error:
        raise TextError(f"{url}: cannot be opened: {describe_error(error)}") from None
