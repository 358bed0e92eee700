"""Output files that appear only when they are complete."""

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
from lightmine.io.compression import open_compressed
from lightmine.io.formats import compression_of, is_url
from lightmine.io.sources import filesystem_of
from lightmine.system.atomic_files import atomic_write, write_error

STDOUT = "-"


@contextlib.contextmanager
def open_binary(path: str) -> Iterator[BinaryIO]:
    """A file that appears at `path` when the block ends without an error, and not otherwise.

    It is written to a temporary file in the same folder, which is then renamed. A symbolic link stays one; a
    pipe or a device is written to directly. A place that cannot be written is refused before the block.
    Names that end in ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` are compressed, to the same bytes for the same
    input. A complete file is uploaded to a URL with fsspec; ``-`` is standard output.

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
    """A temporary file that is uploaded at the end."""
    filesystem, path = filesystem_of(url)
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        try:
            with filesystem.open(path, "wb") as there:
                shutil.copyfileobj(file, there, 1 << 20)
        except Exception as error:  # any error of a network
            raise OutputError(f"{url}: cannot be written: {describe_error(error)}") from None


def _compressed(file: BinaryIO, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    return open_compressed(file, compression_of(path), path)


@contextlib.contextmanager
def open_text(path: str) -> Iterator[TextIO]:
    """`open_binary` for text: UTF-8 and ``\\n``, whatever the locale is."""
    with open_binary(path) as binary:
        stream = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        try:
            yield stream
            stream.flush()
        finally:
            # `open_binary` closes the file. After an error the buffer is dropped.
            with contextlib.suppress(OSError, ValueError):
                stream.detach()
