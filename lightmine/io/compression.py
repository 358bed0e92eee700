"""gzip, bzip2, xz and Zstandard: read in chunks within limits, and written reproducibly."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol, cast

from lightmine.errors import MissingExtraError, TextError, error_line
from lightmine.io.limits import ReadLimits

NAMES = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "Zstandard"}
MAGIC = {"gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\0", "zst": b"\x28\xb5\x2f\xfd"}
# Formats in which zero bytes may follow a member.
PADDED = ("gz", "xz")
# Bytes that are unpacked and read at a time. zstandard unpacks a whole chunk, to 32,768 times its size at
# most.
OUT = 1 << 20
IN = {"gz": 1 << 16, "bz2": 1 << 16, "xz": 1 << 16, "zst": 1 << 12}
# Memory for xz; xz -9 needs an eighth of it. A dictionary of 512 MiB is refused.
XZ_MEMORY = 512 << 20


class _Member(Protocol):
    """A decompressor with the interface of bz2 and lzma, for one member; a file may have several."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def needs_input(self) -> bool:
        return not self._member.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail + data, max_length)


class _Zstandard:
    needs_input = True

    def __init__(self, member: Any) -> None:
        self._member = member

    @property
    def eof(self) -> bool:
        return bool(self._member.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._member.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return bytes(self._member.decompress(data)) if data else b""


def decompress(raw: Callable[[int], bytes], kind: str, name: str, limits: ReadLimits) -> Iterator[bytes]:
    """Unpack what ``raw(size)`` reads, member after member, in chunks of bounded size.

    Raises
    ------
    TextError
        The file is incomplete, is of another format, has something else after a member, or unpacks to more
        than the limits allow.
    MissingExtraError
        The file is Zstandard, and the package that reads it is not installed.
    """
    unpacked = 0
    for packed, out in _unpack(raw, kind, name):
        unpacked += len(out)
        limits.check_unpacked(name, packed, unpacked)
        if out:
            yield out


def _unpack(raw: Callable[[int], bytes], kind: str, name: str) -> Iterator[tuple[int, bytes]]:
    """Unpacked chunks, each with the number of bytes read so far."""
    make = _member_factory(kind, name)
    member: _Member | None = None
    packed = members = 0
    while piece := raw(IN[kind]):
        if not packed and not piece.startswith(MAGIC[kind]) and not MAGIC[kind].startswith(piece):
            raise TextError(f"{name}: not a whole {NAMES[kind]} file: it does not start as one does")
        packed += len(piece)
        while piece or (member is not None and not member.needs_input):
            if member is None:
                if members and kind in PADDED and not (piece := piece.lstrip(b"\0")):
                    break
                member, members = make(), members + 1
            yield packed, _step(member, piece, kind, name)
            piece = b""
            if member.eof:
                piece, member = member.unused_data, None
    # At the end of the file, unpack what is left in the member.
    while member is not None and not member.eof:
        out = _step(member, b"", kind, name)
        yield packed, out
        if not out and not member.eof:
            raise TextError(f"{name}: not a whole {NAMES[kind]} file: it ends too early; fetch it again")


def _step(member: _Member, piece: bytes, kind: str, name: str) -> bytes:
    # ZstdError and similar errors have no other base than Exception.
    try:
        return member.decompress(piece, OUT)
    except Exception as error:
        raise TextError(
            f"{name}: not a whole {NAMES[kind]} file: {error_line(error)}; fetch it again"
        ) from None


def _member_factory(kind: str, name: str) -> Callable[[], _Member]:
    if kind == "gz":
        return _Gzip
    if kind == "bz2":
        return bz2.BZ2Decompressor
    if kind == "xz":
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    module, standard = _zstandard(name)
    if standard:
        return cast(Callable[[], _Member], module.ZstdDecompressor)
    return lambda: _Zstandard(module.ZstdDecompressor().decompressobj())


def _zstandard(name: str) -> tuple[Any, bool]:
    """The module for Zstandard, and whether it is that of the standard library."""
    if sys.version_info >= (3, 14):
        with contextlib.suppress(ImportError):  # Python may have been built without
            return importlib.import_module("compression.zstd"), True
    try:
        return importlib.import_module("zstandard"), False
    except ImportError:
        raise MissingExtraError.of("zst", f"{name}: .zst needs the package zstandard") from None


@contextlib.contextmanager
def open_compressed(file: BinaryIO, kind: str | None, name: str) -> Iterator[BinaryIO]:
    """A stream that writes to `file`, compressed; the same input gives the same bytes."""
    if kind is None:
        yield file
        return
    with _open_writer(file, kind, name) as stream:
        yield stream


def _open_writer(file: BinaryIO, kind: str, name: str) -> Any:
    if kind == "gz":
        return gzip.GzipFile("", "wb", 6, file, mtime=0)
    if kind == "bz2":
        return bz2.BZ2File(file, "wb")
    if kind == "xz":
        return lzma.LZMAFile(file, "wb")
    module, standard = _zstandard(name)
    if standard:
        return module.ZstdFile(file, "wb", options={module.CompressionParameter.checksum_flag: 1})
    return module.ZstdCompressor(write_checksum=True).stream_writer(file, closefd=False)
