"""Turn a sentence-transformers model into a lightmine bundle, and measure it against the model.

The model's own modules, from the transformer to the normalisation, become one ONNX graph, which is then
optimised and quantised as the recipe asks. The bundle is opened as users will open it, and its vectors are
compared with the model's. The output folder appears only if the bundle passes.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lightmine.errors import ArgumentError
from lightmine.export.arguments import OPSET
from lightmine.export.bundling import scratch_folder, write_graph
from lightmine.export.check import Check, pass_gate
from lightmine.export.files import new_folder
from lightmine.export.graph import OUTPUT, inputs_of, is_normalized, leaves_out_prompt, trace
from lightmine.export.optimize import TransformerShape
from lightmine.export.recipe import Recipe
from lightmine.export.requirements import PACKAGES, import_packages
from lightmine.export.source import SourceModel, encode_source, find_source, load_model, token_limit
from lightmine.export.tokenizer import write_tokenizer
from lightmine.loading.bundle import Manifest

if TYPE_CHECKING:
    import onnx
    from sentence_transformers import SentenceTransformer


def export_bundle(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    recipe: Recipe | None = None,
    check: Check | None = None,
    revision: str | None = None,
    name: str | None = None,
    licence: str | None = None,
    truncate_dim: int | None = None,
    exporter: str = "torch",
    opset: int = OPSET,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Manifest:
    """Export a sentence-transformers model to a bundle and measure it against the source.

    Parameters
    ----------
    model
        A model's folder, or its id on the hub.
    out
        The bundle's folder; its parent must exist.
    recipe
        Optimisation, precision and target; float32 with ONNX's own operators by default.
    check
        What is measured and what must be reached.
    revision
        A hub model's branch, tag or commit.
    name
        The bundle's name; the last part of the source's by default.
    licence
        What to record where the model's card states no licence.
    truncate_dim
        Keep so many dimensions, of a model trained for it (Matryoshka).
    exporter
        ``torch``, or ``optimum``, which runs in an environment of its own.
    opset
        The version of ONNX's operator set.
    force
        Replace a bundle at `out`.
    report
        Called with one line of text at each step.

    Returns
    -------
    Manifest
        As written, with hashes and parity figures.

    Raises
    ------
    ParityError
        The bundle falls short of its source; it is kept at OUT.rejected, and nothing is at `out`.
    BundleError
        The model cannot be found, read, or honoured exactly.
    MissingExtraError
        torch, transformers, sentence-transformers or onnx is not installed.
    """
    recipe, check = recipe or Recipe(), check or Check()
    import_packages()
    check.refuse_unreadable()
    out = Path(out).absolute()
    with new_folder(out, force=force) as folder:
        source = find_source(model, revision=revision)
        report(f"source     {source.name}" + (f" at {source.revision}" if source.revision else ""))
        source_model = load_model(source)
        if truncate_dim is not None:
            _truncate(source_model, truncate_dim)
        report("exporting  " + " -> ".join(type(module).__name__ for module in source_model))
        report(f"tokenizer  {write_tokenizer(source_model, folder, source_folder=source.folder)}")
        manifest = _describe(source, source_model, name=name, licence=licence)
        _report_unusual(manifest, source_model, report)
        manifest = _write(
            folder, source, source_model, manifest, recipe=recipe, exporter=exporter, opset=opset
        )
        return pass_gate(
            folder, manifest, lambda some: encode_source(source_model, some), out=out,
            against=f"sentence-transformers {importlib.metadata.version('sentence-transformers')}",
            check=check, report=report,
        )  # fmt: skip


def _report_unusual(manifest: Manifest, model: SentenceTransformer, report: Callable[[str], None]) -> None:
    """Report a licence that nobody stated, and a similarity that lightmine does not use."""
    if manifest.licence == "unknown":
        report("licence    unknown: the model's card states none, and neither does --licence")
    if manifest.similarity != "cosine" and not is_normalized(model):
        report(f"similarity {manifest.similarity} of vectors of any length; lightmine mines by cosine")


def _write(
    folder: Path,
    source: SourceModel,
    model: SentenceTransformer,
    manifest: Manifest,
    *,
    recipe: Recipe,
    exporter: str,
    opset: int,
) -> Manifest:
    """Make the graph by one of the exporters and write it."""
    scratch, remaining = scratch_folder(folder), None
    if exporter == "optimum":
        graph, how, remaining = _through_optimum(source, model, scratch, recipe)
        manifest = dataclasses.replace(manifest, inputs=tuple(value.name for value in graph.graph.input))
    else:
        graph, how = trace(model, scratch, opset=opset)
    return write_graph(
        graph, folder, recipe=recipe, manifest=manifest, how=how, shape=shape_of(model), remaining=remaining
    )


def shape_of(model: SentenceTransformer) -> TransformerShape:
    """The shape of the model's transformer, for the fusions."""
    body = getattr(model[0], "auto_model", None)
    return (
        TransformerShape.of(body.config.get_text_config().to_dict() | {"model_type": body.config.model_type})
        if body
        else TransformerShape()
    )


def _through_optimum(
    source: SourceModel, model: SentenceTransformer, scratch: Path, recipe: Recipe
) -> tuple[onnx.ModelProto, str, Recipe]:
    """The graph, how it was made, and the steps of the recipe that optimum has not done."""
    from lightmine.export.optimum_graph import export_through_optimum

    quantized = recipe.precision == "int8-fast"
    fused = recipe.optimize == "fused" and not quantized
    graph, how = export_through_optimum(
        source.folder,
        scratch,
        fused=fused,
        quantize=recipe.target if quantized else None,
        truncate_dim=model.truncate_dim,
    )
    remaining = dataclasses.replace(
        recipe,
        optimize="basic" if fused else recipe.optimize,
        precision="fp32" if quantized else recipe.precision,
    )
    return graph, how, remaining


def _truncate(model: SentenceTransformer, width: int) -> None:
    full = model.get_embedding_dimension()
    if not 1 <= width <= full:
        raise ArgumentError(f"--truncate-dim must be from 1 to the model's {full} dimensions, not {width}")
    model.truncate_dim = width


def _describe(
    source: SourceModel, model: SentenceTransformer, *, name: str | None, licence: str | None
) -> Manifest:
    modes = [module.pooling_mode for module in model if hasattr(module, "pooling_mode")]
    return Manifest(
        name=name or source.name.split("/")[-1],
        source=source.name,
        revision=source.revision,
        licence=source.licence or licence or "unknown",
        dimension=model.get_embedding_dimension(),
        max_tokens=token_limit(model),
        pad_token_id=getattr(model.tokenizer, "pad_token_id", None) or 0,
        padding_side=getattr(model.tokenizer, "padding_side", "right"),
        pooling="+".join(mode if isinstance(mode, str) else "+".join(mode) for mode in modes) or "mean",
        include_prompt=not leaves_out_prompt(model),
        similarity=model.similarity_fn_name,
        prompts=dict(model.prompts),
        default_prompt=model.default_prompt_name,
        inputs=inputs_of(model),
        output=OUTPUT,
        languages=source.languages,
        versions={name: importlib.metadata.version(name) for name in (*PACKAGES, "onnxruntime")},
    )
