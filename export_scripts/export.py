"""Turn a sentence-transformers model into a lightmine bundle, and prove that it is the same model.

``python -m export_scripts.export MODEL OUT``: the model's own modules, transformer to
normalisation, are traced into one ONNX graph; the bundle is then opened as users will open it and
compared with the source model. OUT appears only when that comparison passes.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.metadata
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from export_scripts.graph import INPUTS, OPSET, OUTPUT, is_normalized, write_graph
from export_scripts.parity import SENTENCES, Parity, ParityError, measure_parity, read_sentences
from export_scripts.source import (
    DISTRIBUTIONS,
    Source,
    find_source,
    first_line,
    load_model,
    require_stack,
)
from lightmine.encoding.bundle import MANIFEST, TOKENIZER, Manifest, write_manifest
from lightmine.encoding.encoder import Encoder
from lightmine.errors import BundleError, LightmineError, OutputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def export_bundle(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    revision: str | None = None,
    name: str | None = None,
    licence: str | None = None,
    evaluation: str | os.PathLike[str] | None = None,
    opset: int = OPSET,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Manifest:
    """Export a sentence-transformers model to a fp32 bundle and check it against the source.

    Parameters
    ----------
    model
        A model's folder, or its id on the hub.
    out
        The bundle's folder; its parent must exist.
    revision
        A hub model's branch, tag or commit.
    name
        The bundle's name; the last part of the source's by default.
    licence
        What to record where the model's card states no licence.
    evaluation
        A UTF-8 file of sentences, one a line, for the parity check; ours by default.
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
        The bundle's vectors are not the source's; nothing is left at `out`.
    BundleError
        The model cannot be found, read, or honoured exactly.
    MissingExtraError
        torch, transformers, sentence-transformers or onnx is not installed.
    """
    require_stack()
    sentences = read_sentences(Path(evaluation) if evaluation else SENTENCES)
    with _appearing_whole(Path(out).absolute(), force=force) as folder:
        source = find_source(model, revision=revision)
        report(f"source     {source.name}" + (f" at {source.revision}" if source.revision else ""))
        source_model = load_model(source)
        report("exporting  " + " -> ".join(type(module).__name__ for module in source_model))
        write_graph(source_model, folder, opset=opset)
        _write_tokenizer(source_model, folder)
        manifest = _describe(source, source_model, name=name, licence=licence, opset=opset)
        if manifest.licence == "unknown":
            report("licence    unknown: the model's card states none, and neither does --licence")
        if manifest.similarity != "cosine" and not is_normalized(source_model):
            report(f"similarity {manifest.similarity} of vectors of any length; lightmine mines by cosine")
        write_manifest(folder, manifest)
        report(f"checking   {len(sentences)} sentences against the source model")
        parity = _check(folder, source_model, sentences)
        return write_manifest(folder, dataclasses.replace(manifest, parity=parity.as_dict()))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0, 2 for an error that has a message, 3 for failed parity."""
    options = _parser().parse_args(argv)
    start = time.monotonic()
    try:
        manifest = export_bundle(
            options.model,
            options.out,
            revision=options.revision,
            name=options.name,
            licence=options.licence,
            evaluation=options.eval,
            opset=options.opset,
            force=options.force,
            report=lambda line: print(line, file=sys.stderr),
        )
    except LightmineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, ParityError) else 2
    print(_table(Path(options.out), manifest, seconds=time.monotonic() - start))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export_scripts.export",
        description="Export a sentence-transformers model to a lightmine bundle and check its vectors.",
        epilog="example: python -m export_scripts.export sentence-transformers/LaBSE labse",
    )
    parser.add_argument("model", metavar="MODEL", help="a model's folder, or its id on the hub")
    parser.add_argument("out", metavar="OUT", help="the bundle's folder")
    parser.add_argument("--revision", help="a hub model's branch, tag or commit")
    parser.add_argument("--name", help="the bundle's name (default: the last part of the source's)")
    parser.add_argument("--licence", help="recorded where the model's card states none")
    parser.add_argument("--eval", metavar="FILE", help="sentences for the parity check, one a line")
    parser.add_argument("--opset", type=int, default=OPSET, help="ONNX operator set (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace a bundle at OUT")
    return parser


def _table(out: Path, manifest: Manifest, *, seconds: float) -> str:
    parity = manifest.parity
    size = sum((out / name).stat().st_size for name in manifest.files)
    rows = {
        "bundle": str(out),
        "size": f"{size / 1e6:.1f} MB",
        "dimension": f"{manifest.dimension}",
        "tokens": f"{manifest.max_tokens} at most",
        "licence": manifest.licence,
        "cosine": f"{parity['cosine_mean']:.7f} mean, {parity['cosine_min']:.7f} min",
        "in batches": f"changes a number by {parity['batch_change']:.1e} at most",
        "took": f"{seconds:.0f} s",
    }
    return "\n".join(f"{what:<11}{value}" for what, value in rows.items())


@contextlib.contextmanager
def _appearing_whole(out: Path, *, force: bool) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well, and goes when it does not."""
    if not out.parent.is_dir():
        raise OutputError(f"{out.parent} is not a folder: create it first")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} exists and is not a folder")
    if out.exists() and any(out.iterdir()):
        if not force:
            raise OutputError(f"{out} exists and is not empty: choose another folder, or add --force")
        if not (out / MANIFEST).is_file():
            raise OutputError(f"{out} holds no {MANIFEST}, so it is no bundle: --force does not replace it")
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


def _write_tokenizer(model: SentenceTransformer, folder: Path) -> None:
    """Save the tokenizer without the truncation and padding that the last call left in it."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(folder / TOKENIZER))


def _describe(
    source: Source, model: SentenceTransformer, *, name: str | None, licence: str | None, opset: int
) -> Manifest:
    modes = [module.pooling_mode for module in model if hasattr(module, "pooling_mode")]
    default = model.default_prompt_name
    return Manifest(
        name=name or source.name.split("/")[-1],
        source=source.name,
        revision=source.revision,
        licence=source.licence or licence or "unknown",
        dimension=model.get_embedding_dimension(),
        max_tokens=model.max_seq_length,
        pad_token_id=model.tokenizer.pad_token_id,
        padding_side=model.tokenizer.padding_side,
        pooling="+".join(mode if isinstance(mode, str) else "+".join(mode) for mode in modes),
        similarity=model.similarity_fn_name,
        prompts={key: prompt for key, prompt in model.prompts.items() if prompt or key == default},
        default_prompt=default,
        inputs=INPUTS,
        output=OUTPUT,
        recipe=f"torch.onnx.export, opset {opset}",
        languages=source.languages,
        versions={name: importlib.metadata.version(name) for name in (*DISTRIBUTIONS, "onnxruntime")},
    )


def _check(folder: Path, model: SentenceTransformer, sentences: list[str]) -> Parity:
    """Open the bundle with the runtime that users have and compare; raise where it is not the source."""
    try:
        reference = model.encode(sentences, show_progress_bar=False)
    except Exception as error:  # whatever the model's own code raises
        raise BundleError(f"the source model itself cannot encode: {first_line(error)}") from error
    encoder = Encoder.load(folder)
    parity = measure_parity(
        # One batch a call, so that batch sizes are those asked for and short sentences are padded.
        lambda some: encoder.encode(some, batch_tokens=len(some) * encoder.manifest.max_tokens),
        sentences=sentences,
        reference=reference,
        against=f"sentence-transformers {importlib.metadata.version('sentence-transformers')}",
    )
    parity.require()
    return parity


if __name__ == "__main__":
    sys.exit(main())
