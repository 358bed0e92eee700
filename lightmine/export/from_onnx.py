"""A bundle from a directory that carries ONNX already, without torch: ``export --from-onnx DIR OUT``.

What the graph leaves out (pooling, dense layers, normalisation) is put into it. The bundle is measured
against the directory itself, run by lightmine with those modules in NumPy.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable
from pathlib import Path

from lightmine.encoder.encoder import Encoder
from lightmine.encoder.runtime import POOLING_MASK
from lightmine.errors import ArgumentError, BundleError
from lightmine.export.check import Check, pass_gate
from lightmine.export.export import write_graph
from lightmine.export.files import appearing_whole
from lightmine.export.optimize import Shape
from lightmine.export.recipe import Recipe
from lightmine.loading.bundle import TOKENIZER, Manifest
from lightmine.loading.directory import open_directory
from lightmine.loading.modules import SENTENCE, Pooling
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
    """Make a bundle of a directory as optimum-cli or a hub gives it; see `export_bundle`.

    Parameters
    ----------
    directory
        Holds a graph, `tokenizer.json`, `config.json` and, unless the graph pools, `modules.json`.
    file
        Which ONNX file, where there are several.
    pooling
        Where nothing says it: cls, mean, ...

    Raises
    ------
    BundleError
        Something is missing, or would not be honoured exactly.
    ParityError
        The bundle falls short of the directory.
    """
    import onnx

    from lightmine.export.modules import with_head

    recipe, check = recipe or Recipe(), check or Check()
    check.look()
    if not directory.is_dir():
        raise BundleError(f"{directory}: no such folder; --from-onnx takes one that holds an ONNX graph")
    opened = open_directory(
        directory, name=directory.resolve().name, revision=None, file=file, pooling=pooling
    )
    given: Manifest = opened.manifest
    if given.precision != "fp32" and recipe.precision != "fp32":
        raise ArgumentError(
            f"{opened.graph} is {given.precision} already: --precision is for a float32 graph"
        )
    reference = Encoder.load(directory, **{k: v for k, v in {"file": file, "pooling": pooling}.items() if v})
    with appearing_whole(out.absolute(), force=force) as folder:
        report(f"source     {opened.graph}")
        _write_tokenizer(opened.tokenizer, folder / TOKENIZER, lower_case=opened.lower_case)
        head = dataclasses.replace(opened.head, dimension=reference.manifest.dimension)
        graph = with_head(onnx.load(opened.graph), head)
        inputs = tuple(value.name for value in graph.graph.input)
        modes = [module for module in head.modules if isinstance(module, Pooling)]
        manifest = dataclasses.replace(
            given,
            name=name or given.name,
            licence=given.licence if given.licence != "unknown" else licence or "unknown",
            dimension=reference.manifest.dimension,
            pooling=given.pooling if modes else "in the graph",
            normalize=True,
            include_prompt=POOLING_MASK not in inputs,
            inputs=inputs,
            output=SENTENCE,
            versions={name: importlib.metadata.version(name) for name in ("onnx", "onnxruntime")},
        )
        scratch = folder / "scratch"
        scratch.mkdir()
        shape = Shape.of(_config(directory, opened.graph))
        how = f"from {opened.graph.name}"
        written = write_graph(graph, folder, recipe=recipe, manifest=manifest, how=how, shape=shape)
        if given.precision != "fp32":
            written = dataclasses.replace(
                written, precision=given.precision, batch=given.batch, cpus=given.cpus
            )
        return pass_gate(
            folder,
            written,
            lambda some: reference.encode(list(some)),
            out=out.absolute(),
            against=f"{opened.graph.name} with its modules in NumPy",
            check=check,
            report=report,
        )


def _write_tokenizer(source: Path, out: Path, *, lower_case: bool) -> None:
    from tokenizers import Tokenizer, normalizers

    try:
        tokenizer = Tokenizer.from_file(str(source))
    except Exception as error:  # the library raises bare Exception for whatever is wrong
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
