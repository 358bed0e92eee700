"""Find a model: a packaged one, a bundle, a directory with an ONNX graph, or a model on a hub."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lightmine.errors import ArgumentError, BundleError
from lightmine.loading.bundle import (
    MANIFEST,
    MODEL,
    TOKENIZER,
    VOCABULARY,
    Verify,
    default_model,
    models_folder,
    read_manifest,
    verify_files,
)
from lightmine.loading.directory import open_directory
from lightmine.loading.hub import fetch
from lightmine.loading.layout import MODULES, holds_graphs
from lightmine.loading.modules import SENTENCE, PostProcessing
from lightmine.loading.resolved_model import ResolvedModel
from lightmine.untrusted.model_paths import read_json
from lightmine.untrusted.onnx_header import check_weights, read_graph

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[^\s@]+)?")
# Written by `lightmine pull -o`: the hub model that a folder is a copy of, and its commit.
ORIGIN = "origin.json"


def resolve_model(
    model: str | Path | None = None,
    *,
    revision: str | None = None,
    file: str | None = None,
    pooling: str | None = None,
    verify: Verify = "full",
    background: bool = False,
) -> ResolvedModel:
    """Find a model and read everything that the runtime must know about it; no weights are loaded.

    Parameters
    ----------
    model : path or str, optional
        A bundle's folder, a directory with an ONNX graph in it, the path of the graph itself if the
        directory has several, the name of a packaged model, or a hub model's ``owner/name`` or
        ``owner/name@revision``. By default the packaged model static-multilingual.
    revision : str, optional
        A hub model's branch, tag or commit.
    file : str, optional
        The ONNX file to run, if there are several.
    pooling : str, optional
        For a directory whose files state no pooling: a mode, or several joined with ``+``.
    verify : {"full", "size"}
        How a bundle's files are checked: ``full`` by SHA-256, ``size`` by their sizes alone.
    background : bool
        Hash the files of a packaged model in the background. The caller must then call
        `ResolvedModel.wait_verified`.

    Raises
    ------
    BundleError
        No such model, or something of it cannot be honoured exactly.
    ArgumentError
        An option that this kind of model does not have.
    """
    folder, file, name, commit = _find(model, revision, file)
    if not (folder / MANIFEST).is_file() and holds_graphs(folder):
        return open_directory(folder, name=name, revision=commit, file=file, pooling=pooling)
    if pooling or file not in (None, MODEL):
        raise ArgumentError(f"{folder}: a bundle has one graph with its own pooling; drop file, pooling")
    return _open_bundle(folder, name, commit, verify, background)


def _find(
    model: str | Path | None, revision: str | None, file: str | None
) -> tuple[Path, str | None, str, str | None]:
    """A model's folder, its ONNX file if one is named, its source, and its commit on a hub."""
    if isinstance(model, str) and is_hub_name(model):
        name, revision = split_name(model, revision)
        fetched = fetch(name, revision=revision, file=file)
        return fetched.folder, file, name, fetched.commit
    if revision is not None:
        raise ArgumentError(f"{model}: only a hub model (owner/name) has revisions, not {revision!r}")
    folder = default_model() if model is None else _packaged_model(model)
    if folder.suffix == ".onnx" and folder.is_file() and not file:
        folder, file = _model_of_graph(folder)
    return folder, file, *_read_origin(folder)


def _packaged_model(model: str | Path) -> Path:
    """The folder of a packaged model if this is the name of one; a folder of that name takes precedence."""
    folder = Path(model)
    packaged = models_folder() / folder.name
    bare = isinstance(model, str) and model == folder.name and not folder.exists()
    return packaged if bare and (packaged / MANIFEST).is_file() else folder


def _model_of_graph(graph: Path) -> tuple[Path, str]:
    """The folder of the model that a graph's file belongs to, and the file's path in it."""
    parents = (graph.parent, graph.parent.parent, graph.parent.parent.parent)
    for settings in (MANIFEST, MODULES, "config.json"):
        for folder in parents:
            if (folder / settings).is_file():
                return folder, graph.relative_to(folder).as_posix()
    return graph.parent, graph.name


def is_hub_name(model: str) -> bool:
    """Whether this is the name of a hub model and not a path.

    Examples
    --------
    >>> is_hub_name("sentence-transformers/LaBSE"), is_hub_name("./models/labse"), is_hub_name("labse")
    (True, False, False)
    """
    if not HUB_NAME.fullmatch(model):
        return False
    # A path that exists, or is in a folder that exists, is no hub name, even if misspelt: no request is made.
    return not Path(model).exists() and not Path(model).parent.exists()


def split_name(model: str, revision: str | None) -> tuple[str, str | None]:
    """A hub model's name and revision; ``name@revision`` names both.

    Examples
    --------
    >>> split_name("sentence-transformers/LaBSE@v1", None)
    ('sentence-transformers/LaBSE', 'v1')
    """
    if not HUB_NAME.fullmatch(model):
        raise ArgumentError(f"{model!r} is not the name of a hub model: owner/name or owner/name@revision")
    name, _, tag = model.partition("@")
    if tag and revision:
        raise ArgumentError(f"{model} names a revision, and so does {revision!r}; give one")
    return name, tag or revision


def write_origin(folder: Path, name: str, commit: str) -> None:
    """Write into a copied model's folder which hub model it is, and its commit."""
    text = json.dumps({"source": name, "revision": commit}, indent=2)
    (folder / ORIGIN).write_text(text + "\n", encoding="utf-8")


def _read_origin(folder: Path) -> tuple[str, str | None]:
    try:
        origin = read_json(folder / ORIGIN)
        return str(origin["source"]), str(origin["revision"])
    except (OSError, KeyError, TypeError, BundleError):
        return folder.name, None


def _open_bundle(
    folder: Path, name: str, commit: str | None, verify: Verify, background: bool
) -> ResolvedModel:
    manifest = read_manifest(folder)
    # A packaged model may be read before it is hashed: it is trusted as much as the code that reads it.
    background = background and folder.parent == models_folder()
    verify_files(folder, manifest, verify="size" if background else verify)
    hashing = None
    if background:
        hashing = _in_background(verify_files, folder, manifest, verify=verify, mapped=True)
    try:
        _check_graph(folder, manifest.files)
    except BundleError:
        if hashing:
            hashing.result()  # if a file is altered, that is the error to report
        raise
    if commit:
        hub = {"hub": name, "hub_revision": commit}
        manifest = dataclasses.replace(manifest, extra=manifest.extra | hub)
    return ResolvedModel(
        folder=folder,
        manifest=manifest,
        graph=folder / MODEL,
        tokenizer=folder / TOKENIZER,
        vocabulary=folder / VOCABULARY if VOCABULARY in manifest.files else None,
        post_processing=PostProcessing(manifest.output, SENTENCE, (), manifest.dimension),
        verified=verify == "full",
        hashing=hashing,
    )


def _check_graph(folder: Path, files: dict[str, str]) -> None:
    """Refuse a graph that cannot be read, or whose external weights the manifest does not list."""
    graph = read_graph(folder / MODEL)
    if unnamed := graph.weight_files - files.keys():
        raise BundleError(f"{folder / MANIFEST}: names no {min(unnamed)}, which the graph's weights are in")
    check_weights(folder / MODEL, graph)


def _in_background(function: Callable[..., None], *arguments: Any, **named: Any) -> Future[None]:
    """Call the function in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *arguments, **named)
    finally:
        pool.shutdown(wait=False)
