"""Paths and settings of an untrusted model: regular files inside its folder, and JSON of limited size."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from lightmine.errors import BundleError, one_line

# The largest known settings and manifests have some kilobytes.
LARGEST_SETTINGS = 16 << 20
# In a hub's cache, files of snapshots/COMMIT are links to files of blobs.
SNAPSHOTS, BLOBS = "snapshots", "blobs"


def is_inside(name: str) -> bool:
    """Whether a relative path stays within its folder; links are not followed.

    Examples
    --------
    >>> is_inside("onnx/model.onnx"), is_inside("../secret"), is_inside("/etc/passwd")
    (True, False, False)
    """
    path = PurePosixPath(name)
    return "\0" not in name and not path.is_absolute() and ".." not in path.parts


def own_file(folder: Path, name: str) -> Path:
    """The path of a model's file, which must be a regular file inside the model's folder.

    A link may lead to another file of the folder or, in a hub's cache, to its blobs.

    Raises
    ------
    BundleError
        It is missing, outside the folder, or not a regular file (a device, a pipe, a folder).
    """
    check_inside(folder, name)
    path = folder / name
    if not path.is_file():
        what = "missing" if not path.exists() else "not a regular file"
        raise BundleError(f"{path}: {what}; copy the whole model again")
    return path


def check_inside(folder: Path, name: str) -> None:
    """Refuse the name of a file or folder that leads out of a model, directly or through links.

    Raises
    ------
    BundleError
        The message says which.
    """
    if not is_inside(name):
        raise BundleError(f"{folder}: {name!r} leads out of the model")
    try:
        found = (folder / name).resolve()
    except (OSError, RuntimeError):  # a loop of links
        raise BundleError(f"{folder / name}: a link that leads nowhere; copy the whole model again") from None
    if not any(found.is_relative_to(home) for home in _homes(folder)):
        raise BundleError(
            f"{folder / name}: a link to {found}, out of the model's folder; copy the file into it"
        )


def _homes(folder: Path) -> list[Path]:
    real = folder.resolve()
    blobs = [place.parents[1] / BLOBS for place in (real, *real.parents) if place.parent.name == SNAPSHOTS]
    return [real, *blobs]


def read_json(path: Path) -> Any:
    """The content of a JSON file; one that is too large or nested too deeply is refused.

    Raises
    ------
    FileNotFoundError
    BundleError
        It cannot be read, is too large, or is not JSON.
    """
    try:
        if (size := path.stat().st_size) > LARGEST_SETTINGS:
            raise BundleError(f"{path}: {size:,} bytes, and settings have {LARGEST_SETTINGS:,} at most")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read: {one_line(error)}") from None
    except RecursionError:
        raise BundleError(f"{path}: cannot be read: nested too deeply") from None
