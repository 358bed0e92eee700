"""Embeddings on disk, for NumPy and whoever else reads ``.npy``.

::

    manifest.py    what a file of embeddings holds: model, options, and hashes block by block
    writer.py      sentences to a file, continued after a kill where it stood
    reader.py      the lines of which rows are made
    cache.py       embeddings kept by content, and used again

A file is whole or not there. docs/guides/embeddings.md tells the layout and what is promised.
"""

from lightmine.store.cache import Cache
from lightmine.store.manifest import Embeddings, open_embeddings
from lightmine.store.writer import write_embeddings

__all__ = ["Cache", "Embeddings", "open_embeddings", "write_embeddings"]
