"""Where a command writes: checks before the work, and pairs of sentences as columns."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import ArgumentError
from lightmine.io.formats import is_url
from lightmine.io.output import STDOUT
from lightmine.io.pair_writer import Columns, format_of, write_pairs
from lightmine.io.parquet import pyarrow_or_error
from lightmine.text.unique import UniqueTexts

# Rows of a table that a terminal shows; files and pipes get every row.
TERMINAL_ROWS = 40


def check_outputs(inputs: Iterable[str | None], outputs: Mapping[str, str | None]) -> None:
    """Refuse an output that is one of the inputs, and two outputs that are one file.

    Symbolic and hard links are followed. Pipes and devices are not checked: one of them may be read and
    written, or written twice.

    Parameters
    ----------
    inputs : paths that are read; None and ``-`` are skipped
    outputs : paths that are written, by the option that names each: ``{"--output": "pairs.tsv"}``

    Raises
    ------
    ArgumentError
        The message names both. Nothing was read or written.

    Examples
    --------
    >>> check_outputs(["a.txt"], {"--output": "./a.txt"})
    Traceback (most recent call last):
    lightmine.errors.ArgumentError: ./a.txt: --output would overwrite a.txt, which is read; name another file
    """
    read = {key: path for path in inputs if path not in (None, STDOUT) for key in _keys(str(path))}
    written: dict[object, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        keys = [STDOUT] if path == STDOUT else _keys(path)
        if over := next((read[key] for key in keys if key in read), None):
            raise ArgumentError(f"{path}: {option} would overwrite {over}, which is read; name another file")
        if other := next((written[key] for key in keys if key in written), None):
            raise ArgumentError(
                f"{path}: {other} and {option} are one file; name two"
                if path != STDOUT
                else f"{other} and {option} are both - (standard output); name a file for one of them"
            )
        written |= dict.fromkeys(keys, option)


def _keys(path: str) -> list[object]:
    """What identifies a file: its path without links and, if it exists, its device and inode."""
    if is_url(path):
        return [path]
    try:
        about = os.stat(path)
    except (OSError, ValueError):  # does not exist, or is no valid name: opening it gives the error
        return [os.path.normcase(os.path.realpath(path))]
    if not stat.S_ISREG(about.st_mode):
        return []
    return [os.path.normcase(os.path.realpath(path)), (about.st_dev, about.st_ino)]


def files_of(model: str | None) -> list[str]:
    """The files of a model in a folder, which a command reads."""
    if model is None or is_url(model):
        return []
    folder = Path(model)
    return [str(path) for path in (folder.rglob("*") if folder.is_dir() else [folder]) if path.is_file()]


def output_format(path: str, format_: str | None) -> str:
    """The format that was asked for, or that of the file name; refuses one that cannot be written."""
    chosen = format_ or format_of(path)
    if chosen == "parquet":
        pyarrow_or_error(path)
    return chosen


def write_columns(stream: TextIO, path: str, columns: Columns, *, format_: str) -> str:
    """Write pairs to a stream that was opened for `path`; returns the note for when the file is complete."""
    count = len(next(iter(columns.values())))
    shown = count
    if path == STDOUT and format_ == "table" and sys.stdout.isatty():
        shown = min(count, TERMINAL_ROWS)
    write_pairs(stream, {name: values[:shown] for name, values in columns.items()}, format=format_)
    if shown < count:
        return f"the first {shown} of {count:,} pairs; -o pairs.tsv writes them all"
    return f"{count:,} pairs" + ("" if path == STDOUT else f" to {path}")


def side_by_side(*sides: tuple[str, UniqueTexts, NDArray[np.int64]]) -> dict[str, Any]:
    """Columns of pairs: line numbers of both sides, ids if there are any, then the texts of both sides."""
    columns: dict[str, Any] = {}
    for name, texts, rows in sides:
        columns[f"{name}_lines"] = [texts.lines[row] for row in rows]
    for name, texts, rows in sides:
        if texts.ids is not None:
            columns[f"{name}_ids"] = [texts.ids[row] for row in rows]
    for name, texts, rows in sides:
        columns[f"{name}_text"] = [texts.texts[row] for row in rows]
    return columns
