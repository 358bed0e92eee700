"""The manifest of a matrix of embeddings, and the matrix compared with it."""

import json

from fuzz.encoder import Checksums
from fuzz.targets import file, folder, refusing
from lightmine.store import open_embeddings, write_embeddings
from lightmine.store.manifest import StoreHeader, StoreManifest, manifest_path

LINES = ["one", "", "three", "four", "five"]
OURS = StoreHeader.of(Checksums(), {})


def matrix():
    """A valid matrix."""
    path = folder() / "x.npy"
    if not path.exists():
        write_embeddings(path, Checksums(), LINES)
    return path


def one_input(data):
    path = matrix()
    file(manifest_path(path).name, data)
    with refusing():
        manifest = open_embeddings(path, verify=True).manifest
        # A manifest that was read can be written, and is read as the same.
        assert StoreManifest.parse(json.loads(manifest.json())) == manifest
        assert all(map(str.isprintable, manifest.header.differences(OURS)))
