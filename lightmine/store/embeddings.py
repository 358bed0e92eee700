"""Embeddings on disk, opened for reading."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import StoreError
from lightmine.store.hashing import row_chunks
from lightmine.store.manifest import StoreManifest, manifest_path, npy_header, read_manifest


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """A matrix on disk, and its manifest.

    Attributes
    ----------
    vectors : float32, float16 or int8 array of shape (rows, dimension), memory-mapped, read-only
        For binary int8 of shape (rows, ceil(dimension / 8)).
    manifest : StoreManifest
    """

    vectors: NDArray[Any]
    manifest: StoreManifest

    def verify(self) -> None:
        """Compare every block with its hash.

        Raises
        ------
        StoreError
            Rows are damaged; it names the first such block.
        """
        start = 0
        for block in self.manifest.blocks:
            digest = hashlib.sha256()
            for chunk in row_chunks(self.vectors[start : start + block.rows]):
                digest.update(chunk)
            if digest.hexdigest() != block.data:
                raise StoreError(
                    f"rows {start:,} to {start + block.rows - 1:,} are damaged: they are not what was "
                    "written; encode again with --restart"
                )
            start += block.rows


def open_embeddings(path: str | Path, *, verify: bool = False) -> Embeddings:
    """Open what `write_embeddings` wrote, memory-mapped.

    Parameters
    ----------
    path : path or str
        The ``.npy`` file; its manifest is beside it.
    verify : bool
        Compare all rows with their hashes first; this reads the whole file.

    Raises
    ------
    StoreError
        The file or its manifest does not exist, they do not belong together, or rows are damaged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from lightmine import Encoder
    >>> from lightmine.store import write_embeddings
    >>> path = pathlib.Path(tempfile.mkdtemp(), "x.npy")
    >>> _ = write_embeddings(path, Encoder.load(), ["one", "", "three"])
    >>> found = open_embeddings(path, verify=True)
    >>> found.vectors.shape, found.manifest.sentences
    ((3, 320), 2)
    """
    path = Path(path)
    manifest = read_manifest(path)
    expected = npy_header(manifest.header, manifest.rows)
    try:
        with path.open("rb") as file:
            found, size = file.read(len(expected)), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
    if found != expected or size != len(expected) + manifest.rows * manifest.header.row_bytes:
        raise StoreError(
            f"{path}: is not the file that {manifest_path(path).name} describes ({manifest.rows:,} rows of "
            f"{manifest.header.columns} columns); encode again with --restart"
        )
    embeddings = Embeddings(np.load(path, mmap_mode="r", allow_pickle=False), manifest)
    if verify:
        try:
            embeddings.verify()
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from None
    return embeddings
