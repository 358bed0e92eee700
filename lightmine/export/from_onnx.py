"""A bundle from a directory that has ONNX files, without torch: ``lightmine export --from-onnx DIR OUT``.

The modules that the graph lacks (pooling, dense layers, normalisation) are added to it. The bundle is
measured against the directory itself, run by lightmine with those modules in NumPy.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import onnx

from lightmine.encoder.encoder import Encoder
from lightmine.encoder.runtime import POOLING_MASK
from lightmine.errors import ArgumentError, BundleError
from lightmine.export.bundling import scratch_folder, write_graph
from lightmine.export.check import Check, pass_gate
from lightmine.export.files import new_folder
from lightmine.export.modules import with_modules
from lightmine.export.optimize import TransformerShape
from lightmine.export.recipe import Recipe
from lightmine.loading.bundle import TOKENIZER, Manifest
from lightmine.loading.directory import open_directory
from lightmine.loading.modules import SENTENCE, Pooling, PostProcessing
from lightmine.loading.resolved_model import ResolvedModel
from lightmine.untrusted.model_paths import read_json


def bundle_directory(
    directory: Path,
    out: Path,
    *,
    recipe: Recipe | None = None,
    check: Check | None = None,
    file: str | None = None,
    pooling: str | None = None,
    name: str | None = None,
    licence: str | None = None,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Manifest:
    """Make a bundle of a directory as optimum-cli or a hub gives it; see also `export_bundle`.

    Parameters
    ----------
    directory
        Holds a graph, `tokenizer.json`, `config.json` and, unless the graph pools, `modules.json`.
    file
        Which ONNX file, if there are several.
    pooling
        If no file of the directory states it: cls, mean, ...

    Raises
    ------
    BundleError
        A file is missing, or a module cannot be exported exactly.
    ParityError
        The bundle falls short of the directory.
    """
    recipe, check = recipe or Recipe(), check or Check()
    check.refuse_unreadable()
    opened = _open(directory, recipe, file=file, pooling=pooling)
    reference = Encoder.load(directory, file=file, pooling=pooling)
    out = out.absolute()
    with new_folder(out, force=force) as folder:
        report(f"source     {opened.graph}")
        _write_tokenizer(opened.tokenizer, folder / TOKENIZER, lower_case=opened.lower_case)
        post = dataclasses.replace(opened.post_processing, dimension=reference.manifest.dimension)
        graph = with_modules(onnx.load(opened.graph), post)
        manifest = _describe(opened.manifest, graph, post, name=name, licence=licence)
        scratch_folder(folder)
        shape = TransformerShape.of(_config(directory, opened.graph))
        how = f"from {opened.graph.name}"
        manifest = write_graph(graph, folder, recipe=recipe, manifest=manifest, how=how, shape=shape)
        given = opened.manifest
        if given.precision != "fp32":
            manifest = dataclasses.replace(
                manifest, precision=given.precision, batch=given.batch, cpus=given.cpus
            )
        return pass_gate(
            folder, manifest, lambda some: reference.encode(list(some)), out=out,
            against=f"{opened.graph.name} with its modules in NumPy", check=check, report=report,
        )  # fmt: skip


def _open(directory: Path, recipe: Recipe, *, file: str | None, pooling: str | None) -> ResolvedModel:
    if not directory.is_dir():
        raise BundleError(f"{directory}: no such folder; --from-onnx takes one that holds an ONNX graph")
    opened = open_directory(
        directory, name=directory.resolve().name, revision=None, file=file, pooling=pooling
    )
    if opened.manifest.precision != "fp32" and recipe.precision != "fp32":
        raise ArgumentError(
            f"{opened.graph} is {opened.manifest.precision} already: --precision is for a float32 graph"
        )
    return opened


def _describe(
    given: Manifest, graph: onnx.ModelProto, post: PostProcessing, *, name: str | None, licence: str | None
) -> Manifest:
    """The directory's manifest with the changes that the modules in the graph make."""
    inputs = tuple(value.name for value in graph.graph.input)
    pools = any(isinstance(module, Pooling) for module in post.modules)
    return dataclasses.replace(
        given,
        name=name or given.name,
        licence=given.licence if given.licence != "unknown" else licence or "unknown",
        dimension=post.dimension,
        pooling=given.pooling if pools else "in the graph",
        normalize=True,
        include_prompt=POOLING_MASK not in inputs,
        inputs=inputs,
        output=SENTENCE,
        versions={name: importlib.metadata.version(name) for name in ("onnx", "onnxruntime")},
    )


def _write_tokenizer(source: Path, out: Path, *, lower_case: bool) -> None:
    from tokenizers import Tokenizer, normalizers

    try:
        tokenizer = Tokenizer.from_file(str(source))
    except Exception as error:  # the library raises Exception itself for every fault
        raise BundleError(f"{source}: not a tokenizer that can be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if lower_case:
        before = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
    tokenizer.save(str(out))


def _config(directory: Path, graph: Path) -> dict[str, object]:
    for folder in (directory, graph.parent, graph.parent.parent):
        if (folder / "config.json").is_file():
            found: dict[str, object] = read_json(folder / "config.json")
            return found
    return {}
