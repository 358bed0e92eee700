"""No output of a command may lie over one of its inputs, or over another output."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from lightmine.errors import ArgumentError
from lightmine.io.formats import is_url
from lightmine.io.output import STDOUT


def check_outputs(inputs: Iterable[str | None], outputs: Mapping[str, str | None]) -> None:
    """Refuse an output that is one of the inputs, and two outputs that are one file.

    Links are followed, symbolic ones and hard ones; so is whatever else names one place twice. Pipes and
    devices are no such place: the same one may be written to and read from, or written to twice.

    Parameters
    ----------
    inputs : paths that are read; None and ``-`` count for nothing
    outputs : paths that are written, by what the user calls them: ``{"--output": "pairs.tsv"}``

    Raises
    ------
    ArgumentError
        It names both, and nothing was read or written.

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
    """What tells one place from another: its name without links and, where a file is there, its number."""
    if is_url(path):
        return [path]
    try:
        about = os.stat(path)
    except (OSError, ValueError):  # not there yet, or no name at all: whoever opens it says so
        return [os.path.normcase(os.path.realpath(path))]
    if not stat.S_ISREG(about.st_mode):
        return []
    return [os.path.normcase(os.path.realpath(path)), (about.st_dev, about.st_ino)]


def files_of(model: str | None) -> list[str]:
    """The files of a model that lies in a folder; they are read, too."""
    if model is None or is_url(model):
        return []
    folder = Path(model)
    return [str(path) for path in (folder.rglob("*") if folder.is_dir() else [folder]) if path.is_file()]
