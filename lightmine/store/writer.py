"""Encodes lines to a file of embeddings; an interrupted call can be resumed.

While the file is written, ``x.npy.part`` has the rows and ``x.npy.part.jsonl`` is the journal, which the
writing process locks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Sized
from pathlib import Path
from typing import Any

import numpy as np

from lightmine.encoder.encoder import Encoder
from lightmine.errors import OutputError, TextError
from lightmine.progress import StreamProgress
from lightmine.store.hashing import text_hash
from lightmine.store.input_lines import InputLines
from lightmine.store.journal import journal_path, removed_if_useless
from lightmine.store.manifest import StoreHeader, StoreManifest
from lightmine.store.matrix_file import MatrixFile
from lightmine.system.atomic_files import open_locked, write_error


@dataclasses.dataclass(frozen=True)
class Written:
    """What a file of embeddings holds now.

    Attributes
    ----------
    manifest : StoreManifest
    found : int
        Rows that an earlier call had written.
    """

    manifest: StoreManifest
    found: int


def write_embeddings(
    path: str | Path,
    encoder: Encoder,
    lines: Iterable[str],
    *,
    name: str = "the input",
    restart: bool = False,
    more_than: Callable[[int], bool] | None = None,
    progress: StreamProgress | None = None,
    **options: Any,
) -> Written:
    """Encode lines to a ``.npy`` file that appears when it is complete, in bounded memory.

    Blocks that an earlier call with the same lines, model and options has finished are not encoded again: a
    call that was killed resumes at the first unfinished block, and the file has the same bytes.

    Parameters
    ----------
    path : path or str
    encoder : Encoder
    lines : iterable of str
        Row i is item i. Blank lines (empty, or only white space) have rows of zeros, and so have lines in
        which the tokenizer finds no token; the manifest counts them.
    name : str
        What messages call the lines.
    restart : bool
        Start over, whatever is there. A finished file stays until the new one is complete.
    more_than : callable, optional
        Tells whether there are more lines than a number. With it, a disk that cannot hold all rows is
        refused before the work. Lines that have a length do not need it.
    progress : callable, optional
        Called with the number of sentences done, and None.
    **options
        As for `Encoder.encode`.

    Raises
    ------
    StoreError
        The file there is of other lines, another model or other options, or another process writes it.
    OutputError
        The file cannot be written. Finished blocks are kept, and the same call resumes after them.
    TextError
        There are no lines, or all are blank.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path, lines = pathlib.Path(tempfile.mkdtemp(), "x.npy"), ["one", "", "three"]
    >>> written = write_embeddings(path, Encoder.load(), lines)
    >>> np.load(path, mmap_mode="r").shape, written.found
    ((3, 320), 0)
    >>> write_embeddings(path, Encoder.load(), lines).found
    3
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputError(f"{path}: is a directory; name a file in it")
    header = StoreHeader.of(encoder, options)
    if more_than is None and isinstance(lines, Sized):
        more_than = len(lines).__gt__
    input_lines = InputLines(lines, name)
    matrix = None
    try:
        with open_locked(journal_path(target)) as journal, removed_if_useless(target, journal):
            matrix = MatrixFile(target, journal, header, str(path))
            with contextlib.closing(matrix):
                matrix.open(restart=restart)
                matrix.check_free_space(more_than)
                matrix.check_lines(input_lines)
                found = matrix.manifest.rows
                if not matrix.finished:
                    with matrix.truncated_on_error():
                        _encode(matrix, encoder, input_lines, options, progress)
                        matrix.finish()
                return Written(matrix.manifest, found)
    except OSError as error:
        kept = matrix.manifest.rows if matrix is not None else 0
        resumes = f"; {kept:,} rows are kept: the same command resumes after them" if kept else ""
        raise OutputError(f"{write_error(path, error)}{resumes}") from None


def _encode(
    matrix: MatrixFile,
    encoder: Encoder,
    lines: InputLines,
    options: dict[str, Any],
    progress: StreamProgress | None,
) -> None:
    """Encode and write all blocks that are missing."""
    before, cut, without = matrix.manifest.sentences, 0, 0

    def show(done: int, _: int | None) -> None:
        if progress:
            progress(before + done, None)

    blocks = encoder.stream(lines.sentences(), progress=show, **options | {"no_tokens": "zeros"})
    # Closed at once after an error, so that no worker encodes what is not needed any more.
    with contextlib.closing(blocks):  # type: ignore[type-var]
        for vectors in blocks:
            gaps, texts = lines.take(len(vectors))
            now_cut, now_without = encoder.truncated, len(encoder.without_tokens)
            matrix.append(gaps, vectors, text_hash(texts, gaps), now_cut - cut, now_without - without)
            cut, without = now_cut, now_without
    if not matrix.manifest.sentences:
        what = f"has {lines.rows:,} lines, all of them blank" if lines.rows else "is empty"
        raise TextError(f"{lines.name}: {what}; one sentence a line is needed")
    if lines.blank:
        none = np.empty((0, matrix.header.columns), matrix.header.dtype)
        matrix.append([lines.blank], none, text_hash([], [lines.blank]), 0, 0)
