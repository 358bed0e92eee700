"""The journal, ``x.npy.part.jsonl``, of a matrix whose rows are being written to ``x.npy.part``.

The first line of the journal is the header of the manifest. Each further line is a block whose rows are on
the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lightmine.store.manifest import StoreHeader, WrittenRows, manifest_path


def journal_path(target: Path) -> Path:
    """The journal of a matrix that is being written."""
    return target.with_name(target.name + ".part.jsonl")


def part_path(target: Path) -> Path:
    """The rows of a matrix that is being written."""
    return target.with_name(target.name + ".part")


def kept_rows(path: str | Path) -> int:
    """Rows that an interrupted call has finished, after which the same call resumes; 0 if there are none."""
    try:
        with journal_path(Path(os.path.realpath(path))).open("rb") as journal:
            return sum(block.rows for block, _ in read_journal(journal)[1])
    except OSError:
        return 0


def read_journal(journal: BinaryIO) -> tuple[StoreHeader | None, list[tuple[WrittenRows, int]]]:
    """The header of a journal, and each block with the place in the journal where its line ends.

    The last line may be incomplete. Lines after one that is not valid are ignored.
    """
    journal.seek(0)
    blocks: list[tuple[WrittenRows, int]] = []
    header = None
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        first = journal.readline()
        end = len(first)
        header = StoreHeader.parse(json.loads(first))
        for line in journal:
            end += len(line)
            if not line.endswith(b"\n"):
                break
            blocks.append((WrittenRows.parse(json.loads(line)), end))
    return header, blocks


@contextlib.contextmanager
def removed_if_useless(target: Path, journal: BinaryIO) -> Iterator[None]:
    """At the end, remove the rows and the journal if nothing can be resumed from them."""
    try:
        yield
    finally:
        finished = not part_path(target).exists() and manifest_path(target).exists()
        if finished or not read_journal(journal)[1]:
            for path in (part_path(target), journal_path(target)):
                with contextlib.suppress(OSError):
                    path.unlink()
