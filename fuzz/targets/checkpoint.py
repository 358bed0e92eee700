"""A mining job's checkpoint: whole files, and whole archives of which one array is not what it was."""

import io
import zipfile

import numpy as np

import lightmine
from fuzz.targets import folder, refusing
from lightmine.engine import checkpoint

ROWS = lightmine.unit_rows(np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32))
OPTIONS = {"top_k": 3, "max_pairs": 20, "threads": 1, "kernel": "numpy"}

_members = []


def place():
    """Where the checkpoint is."""
    where = folder() / "resumed"
    where.mkdir(exist_ok=True)
    return where / checkpoint.NAME


def mine(y=None):
    where = str(folder() / "resumed")
    if y is None:
        return lightmine.mine_paraphrases(ROWS, resume=where, **OPTIONS)
    return lightmine.neighbors(ROWS, y, k=2, both=True, kernel="numpy", threads=1, resume=where)


def members():
    """The arrays of small jobs' checkpoints, as they are in the archives: of one side, and of two."""
    if not _members:
        path = place()
        for y in (None, ROWS[::-1].copy()):
            path.unlink(missing_ok=True)
            mine(y)
            with zipfile.ZipFile(path) as archive:
                _members.append([(name, archive.read(name)) for name in archive.namelist()])
    return _members


def one_input(data):
    choice, content = (data[0] % 32, data[1:]) if data else (0, b"")
    sides, at = divmod(choice, 16)
    arrays = members()[sides]
    if at < len(arrays):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", compression=zipfile.ZIP_STORED) as made:
            for number, (name, array) in enumerate(arrays):
                made.writestr(name, content if number == at else array)
        content = archive.getvalue()
    place().write_bytes(content)
    with refusing():
        mine(ROWS[::-1].copy() if sides else None)
