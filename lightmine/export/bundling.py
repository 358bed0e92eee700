"""The end of every export: the graph in the form that the recipe asks for, written with its manifest."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx

from lightmine.export.files import save_graph
from lightmine.export.optimize import TransformerShape
from lightmine.export.recipe import Recipe
from lightmine.loading.bundle import MODEL, Manifest, write_manifest


def scratch_folder(folder: Path) -> Path:
    """A new folder in the bundle's folder, for files that are needed until the graph is written."""
    scratch = folder / "scratch"
    scratch.mkdir()
    return scratch


def write_graph(
    graph: onnx.ModelProto,
    folder: Path,
    *,
    recipe: Recipe,
    manifest: Manifest,
    how: str,
    shape: TransformerShape,
    remaining: Recipe | None = None,
) -> Manifest:
    """Apply the recipe to a graph and write the graph and the manifest.

    Parameters
    ----------
    graph
        The graph as it was traced or read.
    folder
        Holds the tokenizer and the folder made by `scratch_folder`, which is removed.
    recipe
        What the manifest records.
    manifest
        All that is known before the recipe is applied.
    how
        How the graph was made, for the manifest.
    shape
        The transformer's shape, for the fusions.
    remaining
        The steps of the recipe that are still to be done, if another exporter has done some of them.

    Returns
    -------
    Manifest
        As written, with the hashes of the files.
    """
    scratch = folder / "scratch"
    graph = (remaining or recipe).apply(graph, scratch=scratch, shape=shape, manifest=manifest)
    # Tracing gives the dimension a name; here it gets its number.
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = manifest.dimension
    # By its path: a graph of over 2 GB has its weights in another file, and cannot be checked in memory.
    onnx.checker.check_model(str(save_graph(graph, folder / MODEL)))
    shutil.rmtree(scratch)
    return write_manifest(folder, recipe.describe(manifest, how))
