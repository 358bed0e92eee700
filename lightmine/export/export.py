"""Turn a sentence-transformers model into a lightmine bundle, and prove what it is worth.

``python -m lightmine.export.export MODEL OUT``: the model's own modules, transformer to normalisation,
become one ONNX graph, optimised and quantised as asked; the bundle is then opened as users will open it
and measured against the source model. OUT appears only when it passes.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightmine.errors import ArgumentError
from lightmine.export import calibrate
from lightmine.export.arguments import OPSET, export_parser
from lightmine.export.check import VERIFY, Check, check_of, exit_status, pass_gate, table_of
from lightmine.export.files import appearing_whole, save_graph
from lightmine.export.optimize import Shape
from lightmine.export.recipe import Recipe
from lightmine.loading.bundle import MODEL, Manifest, write_manifest

if TYPE_CHECKING:
    import onnx
    from sentence_transformers import SentenceTransformer

    from lightmine.export.source import SourceModel

Report = Callable[[str], None]


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
    report: Report = lambda line: None,
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
        ``torch``, or ``optimum`` in its own environment (`make optimum`).
    opset
        The ONNX operator set.
    force
        Replace a bundle at `out`.
    report
        Called with one line at each step.

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
    from lightmine.export.source import find_source, load_model, require_stack

    recipe, check = recipe or Recipe(), check or Check()
    require_stack()
    from lightmine.export.graph import is_normalized, trace
    from lightmine.export.tokenizer import write_tokenizer

    check.look()
    with appearing_whole(Path(out).absolute(), force=force) as folder:
        source = find_source(model, revision=revision)
        report(f"source     {source.name}" + (f" at {source.revision}" if source.revision else ""))
        source_model = load_model(source)
        if truncate_dim is not None:
            _truncate(source_model, truncate_dim)
        report("exporting  " + " -> ".join(type(module).__name__ for module in source_model))
        report(f"tokenizer  {write_tokenizer(source_model, folder, source_folder=source.folder)}")
        manifest = _describe(source, source_model, name=name, licence=licence)
        if manifest.licence == "unknown":
            report("licence    unknown: the model's card states none, and neither does --licence")
        if manifest.similarity != "cosine" and not is_normalized(source_model):
            report(f"similarity {manifest.similarity} of vectors of any length; lightmine mines by cosine")
        scratch = folder / "scratch"
        scratch.mkdir()
        remaining = None
        if exporter == "optimum":
            graph, how, remaining = _through_optimum(source, source_model, scratch, recipe)
            inputs = tuple(value.name for value in graph.graph.input)
            manifest = dataclasses.replace(manifest, inputs=inputs)
        else:
            graph, how = trace(source_model, scratch, opset=opset)
        manifest = write_graph(
            graph,
            folder,
            recipe=recipe,
            manifest=manifest,
            how=how,
            shape=shape_of(source_model),
            remaining=remaining,
        )
        return pass_gate(
            folder,
            manifest,
            lambda some: encode_source(source_model, some),
            out=Path(out).absolute(),
            against=f"sentence-transformers {importlib.metadata.version('sentence-transformers')}",
            check=check,
            report=report,
        )


def write_graph(
    graph: onnx.ModelProto,
    folder: Path,
    *,
    recipe: Recipe,
    manifest: Manifest,
    how: str,
    shape: Shape,
    remaining: Recipe | None = None,
) -> Manifest:
    """Apply the recipe to a graph, write it and the manifest; `folder` holds the tokenizer and `scratch`.

    `remaining` is what is still to be done of the recipe, where something else has done a part.
    """
    import onnx

    scratch = folder / "scratch"
    graph = (remaining or recipe).apply(graph, scratch=scratch, shape=shape, manifest=manifest)
    # Tracing leaves the width as a name.
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = manifest.dimension
    # By its path, as a graph with its weights beside it must be.
    onnx.checker.check_model(str(save_graph(graph, folder / MODEL)))
    shutil.rmtree(scratch)
    return write_manifest(folder, recipe.describe(manifest, how))


def encode_source(model: SentenceTransformer, sentences: list[str]) -> np.ndarray:
    """The source's vectors."""
    return np.asarray(model.encode(list(sentences), show_progress_bar=False))


def shape_of(model: SentenceTransformer) -> Shape:
    """What the fusions want to know."""
    body = getattr(model[0], "auto_model", None)
    return (
        Shape.of(body.config.get_text_config().to_dict() | {"model_type": body.config.model_type})
        if body
        else Shape()
    )


def _through_optimum(
    source: SourceModel, model: SentenceTransformer, scratch: Path, recipe: Recipe
) -> tuple[onnx.ModelProto, str, Recipe]:
    """The graph, how it was made, and what optimum leaves of the recipe."""
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
    from lightmine.export.graph import OUTPUT, inputs_of, leaves_out_prompt
    from lightmine.export.source import DISTRIBUTIONS, token_limit

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
        versions={name: importlib.metadata.version(name) for name in (*DISTRIBUTIONS, "onnxruntime")},
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0, 2 for an error that has a message, 3 for a bundle that fails."""
    options = export_parser().parse_args(argv)
    return exit_status(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    start = time.monotonic()
    _export(options)
    out = Path(options.out)
    text = (out / VERIFY).read_text(encoding="utf-8")
    rows = {"bundle": str(out)} | table_of(text) | {"took": f"{time.monotonic() - start:.0f} s"}
    print("\n".join(f"{what:<11}{value}" for what, value in rows.items()))
    return 0


def _export(options: argparse.Namespace) -> None:
    common = {
        "recipe": Recipe(
            optimize=options.optimize,
            precision=options.precision,
            target=options.target,
            calibration=Path(options.calibrate) if options.calibrate else calibrate.SENTENCES,
        ),
        "check": check_of(options),
        "name": options.name,
        "licence": options.licence,
        "force": options.force,
        "report": lambda line: print(line, file=sys.stderr),
    }
    if options.from_onnx:
        from lightmine.export.from_onnx import bundle_directory

        if options.revision or options.truncate_dim or options.exporter != "torch":
            raise ArgumentError("--revision, --truncate-dim and --exporter are not for --from-onnx")
        bundle_directory(
            Path(options.model), Path(options.out), file=options.file, pooling=options.pooling, **common
        )
        return
    if options.file or options.pooling:
        raise ArgumentError("--file and --pooling are for --from-onnx")
    export_bundle(
        options.model,
        options.out,
        revision=options.revision,
        truncate_dim=options.truncate_dim,
        exporter=options.exporter,
        opset=options.opset,
        **common,
    )


if __name__ == "__main__":
    sys.exit(main())
