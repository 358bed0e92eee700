"""Where a model comes from: the one that lightmine brings, a bundle, a directory with ONNX, or a hub."""

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
# Written by `lightmine pull -o`: the hub model that a folder is a copy of, and at which commit.
ORIGIN = "origin.json"


def resolve_model(
    model: str | Path | None = None,
    *,
    revision: str | None = None,
    file: str | None = None,
    pooling: str | None = None,
    verify: str = "full",
    background: bool = False,
) -> ResolvedModel:
    """Find a model and everything that the runtime must know about it; nothing is loaded yet.

    Parameters
    ----------
    model : path or str, optional
        A bundle's folder, a directory with an ONNX graph in it, that graph's own path where there are
        several, the name of a model that comes with lightmine, or a hub model's ``owner/name``, where
        ``owner/name@revision`` is short for `revision`.
        Without it, the model that comes with lightmine.
    revision : str, optional
        A hub model's branch, tag or commit.
    file : str, optional
        Which ONNX file, where there are several.
    pooling : str, optional
        For a directory that says nothing of pooling: a mode, or several joined with ``+``.
    verify : str
        How a bundle's files are checked: ``full`` by SHA-256, ``size`` by their sizes alone.
    background : bool
        Hash the files of a model that comes with lightmine while the caller loads it, who then waits for
        `ResolvedModel.wait_verified`.

    Raises
    ------
    BundleError
        No such model, or one that cannot be honoured exactly.
    ArgumentError
        An option that this kind of model does not have.
    """
    commit: str | None
    if isinstance(model, str) and is_hub_name(model):
        name, revision = split_name(model, revision)
        fetched = fetch(name, revision=revision, file=file)
        folder, commit = fetched.folder, fetched.commit
    elif revision is not None:
        raise ArgumentError(f"{model}: only a hub model (owner/name) has revisions, not {revision!r}")
    else:
        folder = default_model() if model is None else _packaged_model(model)
        if folder.suffix == ".onnx" and folder.is_file() and not file:
            folder, file = _around(folder)
        name, commit = _read_origin(folder)
    if (folder / MANIFEST).is_file() or not holds_graphs(folder):
        if pooling or file not in (None, MODEL):
            raise ArgumentError(f"{folder}: a bundle has one graph with its own pooling; drop file, pooling")
        return _bundle(folder, name, commit, verify, background)
    return open_directory(folder, name=name, revision=commit, file=file, pooling=pooling)


def _packaged_model(model: str | Path) -> Path:
    """The folder of a model that comes with lightmine, by its bare name; what is here comes first."""
    folder = Path(model)
    inside = models_folder() / folder.name
    bare = isinstance(model, str) and model == folder.name and not folder.exists()
    return inside if bare and (inside / MANIFEST).is_file() else folder


def _around(graph: Path) -> tuple[Path, str]:
    """The model's folder that a graph's file is in, and the file's path within."""
    around = (graph.parent, graph.parent.parent, graph.parent.parent.parent)
    for settings in (MANIFEST, MODULES, "config.json"):
        for folder in around:
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
    # What exists, or lies in a folder that does, is a path, mistyped or not: no network for that.
    return not Path(model).exists() and not Path(model).parent.exists()


def split_name(model: str, revision: str | None) -> tuple[str, str | None]:
    """A hub model's name and revision, which may stand behind an @ in the name.

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
    """Keep with a copied model where it is from."""
    text = json.dumps({"source": name, "revision": commit}, indent=2)
    (folder / ORIGIN).write_text(text + "\n", encoding="utf-8")


def _read_origin(folder: Path) -> tuple[str, str | None]:
    try:
        origin = read_json(folder / ORIGIN)
        return str(origin["source"]), str(origin["revision"])
    except (OSError, KeyError, TypeError, BundleError):
        return folder.name, None


def _bundle(folder: Path, name: str, commit: str | None, verify: str, background: bool) -> ResolvedModel:
    manifest = read_manifest(folder)
    # What comes with lightmine may be read before it is hashed: it is as trustworthy as the code that reads.
    background = background and folder.parent == models_folder()
    verify_files(folder, manifest, verify="size" if background else verify)
    hashing = (
        _in_background(verify_files, folder, manifest, verify=verify, mapped=True) if background else None
    )
    try:
        graph = read_graph(folder / MODEL)
        if unnamed := graph.weight_files - manifest.files.keys():
            raise BundleError(
                f"{folder / MANIFEST}: names no {min(unnamed)}, which the graph's weights are in"
            )
        check_weights(folder / MODEL, graph)
    except BundleError:
        if hashing:
            hashing.result()  # that a file is altered is what to say
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


def _in_background(function: Callable[..., None], *arguments: Any, **named: Any) -> Future[None]:
    """What the function does in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *arguments, **named)
    finally:
        pool.shutdown(wait=False)
