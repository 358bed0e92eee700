"""What of a matrix is on the disk while it is written: ``x.npy.part`` and ``x.npy.part.jsonl``.

The journal's first line is the head of a manifest; each further line is a block whose rows are on the disk.
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
    """Rows that an interrupted call has finished, where the same call goes on; 0 where there are none."""
    try:
        with journal_path(Path(os.path.realpath(path))).open("rb") as journal:
            return sum(block.rows for block, _ in journalled(journal)[1])
    except OSError:
        return 0


def journalled(journal: BinaryIO) -> tuple[StoreHeader | None, list[tuple[WrittenRows, int]]]:
    """A journal's head, and its blocks with the place where each one's line ends.

    The last line may be torn, and whatever follows a line that is none counts as never written.
    """
    journal.seek(0)
    blocks: list[tuple[WrittenRows, int]] = []
    head = None
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        first = journal.readline()
        end = len(first)
        head = StoreHeader.parse(json.loads(first))
        for line in journal:
            end += len(line)
            if not line.endswith(b"\n"):
                break
            blocks.append((WrittenRows.parse(json.loads(line)), end))
    return head, blocks


@contextlib.contextmanager
def tidied(target: Path, journal: BinaryIO) -> Iterator[None]:
    """Take away, at the end, what nothing can be continued from: the rows' file and the journal."""
    try:
        yield
    finally:
        named = not part_path(target).exists() and manifest_path(target).exists()
        if named or not journalled(journal)[1]:
            for path in (part_path(target), journal_path(target)):
                with contextlib.suppress(OSError):
                    path.unlink()
