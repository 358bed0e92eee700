"""Output files: whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from lightmine.errors import LightmineError, OutputError, describe_error
from lightmine.io.compression import compressing
from lightmine.io.formats import compression_of, is_url
from lightmine.io.sources import remote
from lightmine.system.atomic_files import atomic_write, write_error

STDOUT = "-"


@contextlib.contextmanager
def open_binary(path: str) -> Iterator[BinaryIO]:
    """A file that appears at `path` when the block ends well, and not at all otherwise.

    It is written beside its place and renamed; a link stays a link, and what is no regular file (a pipe,
    a device) is written to directly. Opening fails at once where nothing could be written. What ends in
    ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` is compressed, the same input giving the same bytes. A URL is
    for fsspec, and gets the file when it is whole; ``-`` is standard output.

    Raises
    ------
    OutputError
    """
    target = Path(os.path.realpath(path))
    try:
        if path == STDOUT:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        elif is_url(path):
            with _uploaded(path) as file, _compressed(file, path) as stream:
                yield stream
        elif not path or target.is_dir():
            raise OutputError(f"{path or 'an empty name'}: is a directory; name a file in it")
        elif target.exists() and not target.is_file():
            with target.open("wb") as device, _compressed(device, path) as stream:
                yield stream
        else:
            with atomic_write(target) as file, _compressed(file, path) as stream:
                yield stream
    except (LightmineError, BrokenPipeError):
        raise
    except OSError as error:
        name = "standard output" if path == STDOUT else path
        raise write_error(name, error) from None


@contextlib.contextmanager
def _uploaded(url: str) -> Iterator[BinaryIO]:
    """A temporary file that is sent to its place at the end."""
    filesystem, path = remote(url)
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        try:
            with filesystem.open(path, "wb") as there:
                shutil.copyfileobj(file, there, 1 << 20)
        except Exception as error:  # what a network has to say
            raise OutputError(f"{url}: cannot be written: {describe_error(error)}") from None


def _compressed(file: BinaryIO, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    return compressing(file, compression_of(path), path)


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
