"""Embeddings on disk, as ``.npy`` files that NumPy and other programs read.

::

    writer.py         write_embeddings: encodes lines to a file, and resumes an interrupted one
    input_lines.py    the lines that are encoded: which are blank, which are not written yet
    matrix_file.py    the file while it is written: its blocks, and the checks before it is resumed
    journal.py        which blocks of an unfinished file are on the disk
    manifest.py       what a finished file holds: model, options, and a hash of each block
    embeddings.py     open_embeddings: reads a finished file
    cache.py          Cache: embeddings by the hash of their texts
    cache_folder.py   the entries of one model in a cache
    cache_prune.py    the size of a cache, and what is removed from it
    hashing.py        hashes of texts, rows and files

A finished file is always complete. docs/guides/embeddings.md describes the layout.
"""

from lightmine.store.cache import Cache
from lightmine.store.embeddings import Embeddings, open_embeddings
from lightmine.store.writer import write_embeddings

__all__ = ["Cache", "Embeddings", "open_embeddings", "write_embeddings"]
