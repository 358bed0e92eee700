"""What is fuzzed: one reader a module, each with ``one_input(data)``.

Of what a reader raises only `LightmineError` may escape, its message on one line that any terminal can show;
`one_input` lets it pass and nothing else.
"""

import contextlib
import os
import pkgutil
import shutil
import tempfile
from pathlib import Path

from lightmine.errors import LightmineError

NAMES = sorted(module.name for module in pkgutil.iter_modules(__path__))
_folder = None


def folder():
    """A folder of this process, in memory where the machine has one there."""
    global _folder
    if _folder is None:
        shm = Path("/dev/shm")
        _folder = Path(
            tempfile.mkdtemp(prefix="lightmine-fuzz-", dir=shm if os.access(shm, os.W_OK) else None)
        )
    return _folder


def clean():
    """Remove the folder."""
    global _folder
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)
        _folder = None


def file(name, data):
    """A file of these bytes."""
    path = folder() / name
    path.write_bytes(data)
    return path


@contextlib.contextmanager
def refusing():
    """What a reader may raise."""
    try:
        yield
    except LightmineError as error:
        said = str(error)
    else:
        said = ""
    assert said.isprintable(), repr(said)
