"""Arrays out of files that anybody may have made: ``.npy`` and ``.npz``, without pickles, within limits.

NumPy allocates what a header claims before it reads. Here the claim is first held against the bytes that
are there, so that no file makes memory of nothing; of what is compressed, against a limit.
"""

from __future__ import annotations

import contextlib
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import TextError, error_line

# Bytes that one of an archive may become, by LIGHTMINE_MAX_EXPANSION: texts and neighbours hardly reach 20.
EXPANSION = 100
# Under this an archive may expand as it likes.
HARMLESS = 16 << 20
# Arrays of an archive; saved neighbours have 15.
MOST_MEMBERS = 1_000
KINDS = "biufc"


def read_array(path: str) -> NDArray[Any]:
    """An array of numbers from an ``.npy`` file.

    Raises
    ------
    TextError
        No such file, no ``.npy``, pickled, or not as many bytes as its header claims.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = str(pathlib.Path(tempfile.mkdtemp(), "x.npy"))
    >>> np.save(path, np.eye(2))
    >>> read_array(path)
    array([[1., 0.],
           [0., 1.]])
    >>> _ = pathlib.Path(path).write_bytes(pathlib.Path(path).read_bytes()[:-1])
    >>> read_array(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lightmine.errors.TextError: .../x.npy: no array that can be read: it claims 32 bytes and has 31
    """
    with _explained(path, "no array that can be read"), open(path, "rb") as file:
        _regular(file)
        return _array(file, os.fstat(file.fileno()).st_size)


def read_archive(path: str) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file by name.

    Raises
    ------
    TextError
        No such file, no ``.npz``, pickled, damaged, or one that would expand more than a hundred times
        (``LIGHTMINE_MAX_EXPANSION``).

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = str(pathlib.Path(tempfile.mkdtemp(), "x.npz"))
    >>> np.savez(path, near=np.array([3, 1]))
    >>> read_archive(path)
    {'near': array([3, 1])}
    """
    with _explained(path, "no archive of arrays that can be read"), open(path, "rb") as file:
        _regular(file)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_size(members, os.fstat(file.fileno()).st_size)
            arrays = {}
            for member in members:
                with archive.open(member) as stream:
                    array = _array(stream, member.file_size)
                    if stream.read(1):  # reading to the end is what checks the checksum
                        raise ValueError(f"{member.filename} goes on after its array")
                arrays[member.filename.removesuffix(".npy")] = array
            return arrays


def _regular(file: IO[bytes]) -> None:
    if not os.path.isfile(file.name):
        raise ValueError("it is no regular file")


def _check_size(members: list[zipfile.ZipInfo], held: int) -> None:
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"{len(members):,} arrays, and {MOST_MEMBERS:,} are the most")
    size = sum(member.file_size for member in members)
    limit = _expansion()
    if size > max(limit * held, HARMLESS):
        raise ValueError(
            f"its {held:,} bytes would expand to {size:,}, over {limit} times as many; if it can be trusted, "
            "set LIGHTMINE_MAX_EXPANSION higher"
        )


def _expansion() -> int:
    text = os.environ.get("LIGHTMINE_MAX_EXPANSION", "")
    if text and not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError(f"LIGHTMINE_MAX_EXPANSION must be a whole number of at least 1, not {text!r}")
    return int(text) if text else EXPANSION


def _array(stream: IO[bytes], held: int) -> NDArray[Any]:
    """An array whose header, and all after it, are in `held` bytes."""
    counted = _Counted(stream)
    version = np.lib.format.read_magic(counted)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"its format is version {version}")
    # NumPy bounds the header's length itself: what it says is Python, and long Python is slow to parse.
    try:
        shape, fortran, dtype = readers[version](counted)
    except Exception as error:  # NumPy parses it as Python, with that parser's errors
        raise ValueError(f"its header is broken ({type(error).__name__})") from None
    if dtype.kind not in KINDS:
        raise ValueError(f"it is of {dtype}, and arrays of numbers are read")
    if any(type(size) is not int or size < 0 for size in shape) or len(shape) > 32:
        raise ValueError(f"its shape is {shape}")
    claimed, rest = math.prod(shape) * dtype.itemsize, held - counted.read_so_far
    if claimed > rest:
        raise ValueError(f"it claims {claimed:,} bytes and has {rest:,}")
    values = np.empty(math.prod(shape), dtype)
    buffer, filled = values.view(np.uint8), 0
    while filled < claimed:
        part = stream.read(min(claimed - filled, 1 << 20))
        if not part:
            raise ValueError(f"it claims {claimed:,} bytes and ends after {filled:,}")
        buffer[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled += len(part)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)


class _Counted:
    """A stream that counts what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.read_so_far = 0

    def read(self, size: int = -1, /) -> bytes:
        """See `IO.read`."""
        data = self._stream.read(size)
        self.read_so_far += len(data)
        return data


@contextlib.contextmanager
def _explained(path: str, what: str) -> Iterator[None]:
    try:
        yield
    except TextError:
        raise
    except FileNotFoundError:
        raise TextError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise TextError(f"{path}: is a directory; name a file in it") from None
    except OSError as error:
        raise TextError(f"{path}: cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise TextError(f"{path}: {what}: it is larger than the memory that is left") from None
    except (
        ValueError, TypeError, EOFError, OverflowError, RecursionError, RuntimeError, NotImplementedError,
        SyntaxError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise TextError(f"{path}: {what}: {error_line(error)}") from None
