"""Output files: whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from lightmine.errors import OutputError

STDOUT = "-"


@contextlib.contextmanager
def open_binary(path: str) -> Iterator[BinaryIO]:
    """A file that appears at `path` when the block ends well, and not at all otherwise.

    It is written beside `path` and renamed. Opening it fails at once where it could not be written.
    ``.gz`` is compressed, the same input giving the same bytes; ``-`` is standard output.

    Raises
    ------
    OutputError
    """
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if target.is_dir():
            raise OutputError(f"{path}: is a directory; name a file in it")
        with beside.open("wb") as file, contextlib.ExitStack() as stack:
            compressed = path.endswith(".gz")
            stream: Any = (
                stack.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0)) if compressed else file
            )
            yield stream
        beside.replace(target)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


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
