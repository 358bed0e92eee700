"""Entries of a cache and the descriptions of its folders: the vectors are right whatever they hold."""

import contextlib
import io

import numpy as np

from fuzz.encoder import Checksums
from fuzz.targets import folder, refusing
from lightmine.cli.cache import list_
from lightmine.store import Cache
from lightmine.store.cache_folder import DESCRIPTION

TEXTS = ["one", "two", "three"]


def one_input(data):
    choice, data = (data[0] % 2, data[1:]) if data else (0, b"")
    cache = Cache(folder() / "cache")
    right = cache.encode(Checksums(), TEXTS).vectors
    entries = sorted(cache.folder.glob("*/*.npy"))
    (entries[0].with_name(DESCRIPTION) if choice else entries[0]).write_bytes(data)
    with refusing(), contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
        list_.callback(str(cache.folder), False)
        assert all(map(str.isprintable, shown.getvalue().split("\n")))
        list_.callback(str(cache.folder), True)
    again = cache.encode(Checksums(), TEXTS)
    assert np.array_equal(again.vectors, right)
    assert again.damaged <= (not choice)
    cache.prune()
