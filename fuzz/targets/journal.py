"""The journal of an unfinished matrix: whatever it says, the matrix is right at the end, or unchanged."""

import shutil

from fuzz.encoder import Checksums
from fuzz.targets import file, folder, refusing
from lightmine.store import write_embeddings
from lightmine.store.journal import journal_path, kept_rows, part_path
from lightmine.store.manifest import manifest_path

LINES = ["one", "", "three", "four", "five", "six", " ", "eight", "nine"]
# How many of the rows are there: none, half, all, more than all, and all under their final name.
KINDS = 5


def whole():
    """A matrix of an undisturbed run."""
    path = folder() / "whole.npy"
    if not path.exists():
        write_embeddings(path, Checksums(), LINES)
    return path


def one_input(data):
    kind, data = (data[0] % KINDS, data[1:]) if data else (0, b"")
    right = whole().read_bytes()
    path = folder() / "journalled.npy"
    for each in (path, manifest_path(path), part_path(path)):
        each.unlink(missing_ok=True)
    file(journal_path(path).name, data)
    if kind == 4:
        shutil.copy(whole(), path)
    elif kind:
        file(part_path(path).name, (right + bytes(9))[: (len(right) // 2 + 40, len(right), None)[kind - 1]])
    with refusing():
        assert kept_rows(path) >= 0
        written = write_embeddings(path, Checksums(), LINES)
        assert written.manifest.rows == len(LINES)
        assert path.read_bytes() == right
        assert not part_path(path).exists()
        assert not journal_path(path).exists()
