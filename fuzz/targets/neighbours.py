"""SavedNeighbors neighbours: whole files, and whole archives of which one array is not what it was."""

import io
import zipfile

from fuzz.targets import file, folder, refusing
from lightmine.bitext.neighbors_file import SavedNeighbors, load_neighbors, save_neighbors

_members = []


def members():
    """The arrays of a small file of saved neighbours, as they are in the archive."""
    if not _members:
        import lightmine
        from lightmine.text.unique import UniqueTexts

        near = lightmine.neighbors([[1, 0], [0, 1]], [[0, 2], [2, 0]], k=1, both=True)
        sides = [UniqueTexts(["a", "b"], [[1], [2, 3]], [["i"], ["j", "k"]]) for _ in range(2)]
        path = folder() / "whole.npz"
        save_neighbors(str(path), SavedNeighbors(near, 1, 1, *sides))
        with zipfile.ZipFile(path) as archive:
            _members.extend((name, archive.read(name)) for name in archive.namelist())
    return _members


def one_input(data):
    choice, content = (data[0] % 32, data[1:]) if data else (0, b"")
    if choice < len(members()):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", compression=zipfile.ZIP_STORED) as made:
            for at, (name, array) in enumerate(members()):
                made.writestr(name, content if at == choice else array)
        content = archive.getvalue()
    with refusing():
        saved = load_neighbors(str(file("x.npz", content)))
        assert len(saved.source) == len(saved.near.index)
