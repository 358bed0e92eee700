"""Graphs on disk, with large weights in a second file, and folders that appear only when complete."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lightmine.errors import OutputError
from lightmine.loading.bundle import MANIFEST, MODEL

if TYPE_CHECKING:
    import onnx

# A protobuf file holds less than 2 GiB; the difference is for everything in it except the weights.
LARGEST_FILE = 2**31 - 2**24
DATA = MODEL + ".data"


def is_large(graph: onnx.ModelProto) -> bool:
    """Whether the graph does not fit one file."""
    return sum(len(tensor.raw_data) for tensor in graph.graph.initializer) > LARGEST_FILE


def save_graph(graph: onnx.ModelProto, path: Path, *, external_data: bool = False) -> Path:
    """Write a graph; its weights go to a second file if it is large, or with `external_data`.

    ONNX Runtime maps the weights of a second file, and copies those of the graph's file twice.
    """
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    if external_data or is_large(graph):
        # onnx would append to a file that exists.
        path.with_name(path.name + ".data").unlink(missing_ok=True)
        onnx.save(graph, path, save_as_external_data=True, location=path.name + ".data")
        # Saving removes them from the graph in memory.
        load_external_data_for_model(graph, str(path.parent))
    else:
        onnx.save(graph, path)
    return path


@contextlib.contextmanager
def new_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """A folder next to `out` that is renamed to it when the block succeeds, and removed when it fails."""
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
        _replace(out, folder, backup=scratch / "old")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def keep_rejected(folder: Path, out: Path) -> Path:
    """Move a bundle that failed the gate to OUT.rejected; an earlier one is replaced."""
    rejected = out.with_name(out.name + ".rejected")
    _check_replaceable(rejected, force=True)
    _replace(rejected, folder, backup=folder.with_name("rejected-before"))
    return rejected


def _check_replaceable(out: Path, *, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} exists and is not a folder")
    if out.exists() and any(out.iterdir()):
        if not force:
            raise OutputError(f"{out} exists and is not empty: choose another folder, or add --force")
        if not (out / MANIFEST).is_file():
            raise OutputError(f"{out} holds no {MANIFEST}, so it is no bundle: --force does not replace it")


def _replace(out: Path, folder: Path, *, backup: Path) -> None:
    """Rename `folder` to `out`; if that fails, what was there is renamed back."""
    try:
        if out.exists():
            out.rename(backup)
        folder.rename(out)
    except OSError as error:
        if backup.exists():
            backup.rename(out)
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
