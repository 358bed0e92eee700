"""Files of a model that somebody else made: plain ones, inside its folder, and settings of sane size."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from lightmine.errors import BundleError, one_line

# The largest settings and manifests that are known have some kilobytes.
LARGEST_SETTINGS = 16 << 20
# In a hub's cache, links lead from snapshots/COMMIT to the blobs beside them.
SNAPSHOTS, BLOBS = "snapshots", "blobs"


def is_inside(name: str) -> bool:
    """Whether a relative path stays within its folder, as far as its spelling tells.

    Examples
    --------
    >>> is_inside("onnx/model.onnx"), is_inside("../secret"), is_inside("/etc/passwd")
    (True, False, False)
    """
    path = PurePosixPath(name)
    return "\0" not in name and not path.is_absolute() and ".." not in path.parts


def own_file(folder: Path, name: str) -> Path:
    """The path of a model's file, which must be a regular file of the model's own.

    Links may lead to another place in the folder or, in a hub's cache, to its blobs; nowhere else.

    Raises
    ------
    BundleError
        It is not there, leads out of the folder, or is no regular file (a device, a pipe, a folder).
    """
    check_inside(folder, name)
    path = folder / name
    if not path.is_file():
        what = "missing" if not path.exists() else "not a regular file"
        raise BundleError(f"{path}: {what}; copy the whole model again")
    return path


def check_inside(folder: Path, name: str) -> None:
    """Refuse the name of a file or folder that leads out of a model, by its spelling or through links.

    Raises
    ------
    BundleError
        It says which.
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
    """What a JSON file says; a file that nobody needs so large or so deep is refused.

    Raises
    ------
    FileNotFoundError
    BundleError
        It cannot be read, is too large, or is no JSON.
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
