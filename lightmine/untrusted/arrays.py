"""Arrays from untrusted ``.npy`` and ``.npz`` files, without pickles and within limits.

NumPy allocates the size that a header claims before it reads. Here the claim is first compared with the
number of bytes in the file, and for compressed arrays with a limit.
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

# The default of LIGHTMINE_MAX_EXPANSION: how many times its size an archive may unpack to. Saved neighbors
# hardly reach 20.
MAX_EXPANSION = 100
# Archives that unpack to less than this are not refused.
SMALL_ARCHIVE = 16 << 20
# Arrays in an archive; saved neighbors have 15.
MAX_MEMBERS = 1_000
KINDS = "biufc"


def read_array(path: str) -> NDArray[Any]:
    """An array of numbers from an ``.npy`` file.

    Raises
    ------
    TextError
        No such file, not ``.npy``, pickled, or fewer bytes than its header claims.

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
        No such file, not ``.npz``, pickled, damaged, or one that would unpack to more than a hundred times
        its size (``LIGHTMINE_MAX_EXPANSION``).

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
                    if stream.read(1):  # reading to the end also compares the checksum
                        raise ValueError(f"{member.filename} has more bytes after its array")
                arrays[member.filename.removesuffix(".npy")] = array
            return arrays


def _regular(file: IO[bytes]) -> None:
    if not os.path.isfile(file.name):
        raise ValueError("it is no regular file")


def _check_size(members: list[zipfile.ZipInfo], held: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"{len(members):,} arrays, and {MAX_MEMBERS:,} are the most")
    size = sum(member.file_size for member in members)
    limit = _expansion()
    if size > max(limit * held, SMALL_ARCHIVE):
        raise ValueError(
            f"its {held:,} bytes would expand to {size:,}, over {limit} times as many; if it can be trusted, "
            "set LIGHTMINE_MAX_EXPANSION higher"
        )


def _expansion() -> int:
    text = os.environ.get("LIGHTMINE_MAX_EXPANSION", "")
    if text and not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError(f"LIGHTMINE_MAX_EXPANSION must be a whole number of at least 1, not {text!r}")
    return int(text) if text else MAX_EXPANSION


def _array(stream: IO[bytes], held: int) -> NDArray[Any]:
    """An array that, with its header, has `held` bytes."""
    counted = _Counted(stream)
    version = np.lib.format.read_magic(counted)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"its format is version {version}")
    # NumPy limits the length of the header, which it parses as Python.
    try:
        shape, fortran, dtype = readers[version](counted)
    except Exception as error:  # any error of the parser of Python
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
    """A stream that counts the bytes that are read from it."""

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
