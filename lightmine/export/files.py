"""Graphs on disk, weights beside them where one file would be too large, and folders that appear whole."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_model

from lightmine.errors import OutputError
from lightmine.loading.bundle import MANIFEST, MODEL

# A protobuf file ends at 2 GiB; the margin is for everything in it that is no weight.
LARGEST_FILE = 2**31 - 2**24
DATA = MODEL + ".data"


def is_large(graph: onnx.ModelProto) -> bool:
    """Whether the graph does not fit one file."""
    return sum(len(tensor.raw_data) for tensor in graph.graph.initializer) > LARGEST_FILE


def save_graph(graph: onnx.ModelProto, path: Path, *, beside: bool = False) -> Path:
    """Write a graph, its weights beside it where it is large or that is asked for.

    ONNX Runtime maps weights that lie beside, and copies others twice.
    """
    if beside or is_large(graph):
        # What is there is not written over, but gone on from.
        path.with_name(path.name + ".data").unlink(missing_ok=True)
        onnx.save(graph, path, save_as_external_data=True, location=path.name + ".data")
        # Saving takes them out of the graph in memory.
        load_external_data_for_model(graph, str(path.parent))
    else:
        onnx.save(graph, path)
    return path


@contextlib.contextmanager
def appearing_whole(out: Path, *, force: bool) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well, and goes when it does not."""
    if not out.parent.is_dir():
        raise OutputError(f"{out.parent} is not a folder: create it first")
    _check_replaceable(out, force=force)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise OutputError(f"{out.parent} cannot be written: {error.strerror}") from error
    try:
        folder = scratch / "new"
        folder.mkdir()
        yield folder
        _replace(out, folder, aside=scratch / "old")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def keep_rejected(folder: Path, out: Path) -> Path:
    """Move a bundle that failed the gate to OUT.rejected, in the place of an earlier such one."""
    rejected = out.with_name(out.name + ".rejected")
    _check_replaceable(rejected, force=True)
    _replace(rejected, folder, aside=folder.with_name("rejected-before"))
    return rejected


def _check_replaceable(out: Path, *, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} exists and is not a folder")
    if out.exists() and any(out.iterdir()):
        if not force:
            raise OutputError(f"{out} exists and is not empty: choose another folder, or add --force")
        if not (out / MANIFEST).is_file():
            raise OutputError(f"{out} holds no {MANIFEST}, so it is no bundle: --force does not replace it")


def _replace(out: Path, folder: Path, *, aside: Path) -> None:
    """Rename `folder` to `out`; what was there is back in its place if that fails."""
    try:
        if out.exists():
            out.rename(aside)
        folder.rename(out)
    except OSError as error:
        if aside.exists():
            aside.rename(out)
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
