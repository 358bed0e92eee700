"""Output files: whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from lightmine.errors import OutputError
from lightmine.files import replacing

STDOUT = "-"


@contextlib.contextmanager
def open_binary(path: str) -> Iterator[BinaryIO]:
    """A file that appears at `path` when the block ends well, and not at all otherwise.

    It is written beside its place and renamed; a link stays a link, and what is no regular file (a pipe,
    a device) is written to directly. Opening fails at once where nothing could be written. ``.gz`` is
    compressed, the same input giving the same bytes; ``-`` is standard output.

    Raises
    ------
    OutputError
    """
    target = Path(os.path.realpath(path))
    try:
        if path == STDOUT:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        elif not path or target.is_dir():
            raise OutputError(f"{path or 'an empty name'}: is a directory; name a file in it")
        elif target.exists() and not target.is_file():
            with target.open("wb") as device, _compressed(device, path) as stream:
                yield stream
        else:
            with replacing(target) as file, _compressed(file, path) as stream:
                yield stream
    except (OutputError, BrokenPipeError):
        raise
    except OSError as error:
        name = "standard output" if path == STDOUT else path
        raise OutputError(f"{name}: cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def _compressed(file: BinaryIO, path: str) -> Iterator[BinaryIO]:
    if not path.endswith(".gz"):
        yield file
        return
    with gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:
        yield cast(BinaryIO, stream)


@contextlib.contextmanager
def open_text(path: str) -> Iterator[TextIO]:
    """`open_binary` for text: UTF-8 and bare newlines, whatever the locale says."""
    with open_binary(path) as binary:
        stream = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        try:
            yield stream
            stream.flush()
        finally:
            # Closing is for whoever opened the binary file; what an error left in the buffer is dropped.
            with contextlib.suppress(OSError, ValueError):
                stream.detach()
