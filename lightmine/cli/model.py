"""``lightmine encode``, ``lightmine info`` and ``lightmine export``."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import click
import numpy as np

from lightmine.cli.options import encode_texts, model_option, note, quiet_option, read, threads_option
from lightmine.encoding.bundle import manifest_json
from lightmine.encoding.encoder import Encoder
from lightmine.encoding.source import open_source
from lightmine.errors import MissingExtraError
from lightmine.texts.output import open_binary

# What a manifest's `batch` means to whoever encodes.
BATCH_MATES = {
    "any": "do not change a vector",
    "one": "do not change a vector: sentences are run one at a time; --fast runs them together, and they do",
    "mates": "change a vector a little: this graph scales its numbers by the whole batch",
}


@click.command()
@click.argument("file")
@click.option("--output", "-o", required=True, metavar="OUT.npy", help="Where the vectors go.")
@model_option
@threads_option
@quiet_option
def encode(file: str, output: str, model: str | None, threads: int | None, quiet: bool) -> None:
    """Encode FILE, one sentence a line (- is standard input), to a NumPy matrix.

    Row i of the float32 matrix is the vector of line i + 1. A blank line has a row of zeros, which
    mining refuses: leave blank lines out of a file whose vectors are to be mined.

    \b
    Example:
      lightmine encode examples/english.txt -o english.npy
    """
    with open_binary(output) as stream:
        sentences = read(file, quiet=quiet)
        encoder = Encoder.load(model)
        vectors = encode_texts(encoder, sentences.texts, file, threads=threads, quiet=quiet)
        if len(sentences) < sentences.total:
            rows = np.zeros((sentences.total, encoder.manifest.dimension), np.float32)
            rows[np.array(sentences.lines) - 1] = vectors
            vectors = rows
        np.lib.format.write_array(stream, vectors, allow_pickle=False)
    note(f"{len(vectors):,} vectors of {encoder.manifest.dimension} dimensions to {output}", quiet=quiet)


@click.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="The whole manifest as JSON.")
def info(model: str | None, as_json: bool) -> None:
    """Show what a model says about itself, a bundle's files checked (the default model if none is named).

    MODEL is a bundle's folder, a directory with an ONNX graph, or owner/name[@revision] on a hub.

    \b
    Example:
      lightmine info
    """
    source = open_source(model)
    manifest = source.manifest
    if as_json:
        click.echo(manifest_json(manifest), nl=False)
        return
    facts = {
        "model": manifest.name,
        "folder": str(source.folder),
        "graph": source.graph.relative_to(source.folder).as_posix(),
        "source": manifest.source + (f" at {manifest.revision}" if manifest.revision else ""),
        "licence": manifest.licence,
        "languages": " ".join(manifest.languages) or "not stated",
        "dimension": str(manifest.dimension or "said by no file; found when the model is loaded"),
        "pooling": manifest.pooling,
        "longest input": f"{manifest.max_tokens} tokens, cut beyond",
        "precision": manifest.precision + (f": {manifest.recipe}" if manifest.recipe else ""),
        "default prompt": repr(manifest.prompts.get(manifest.default_prompt or "", "")),
        "batch-mates": BATCH_MATES[manifest.batch],
        "size": f"{source.size / 1e6:.1f} MB"
        + (", every file as its SHA-256 says" if source.verified else ", no hashes to check it by"),
        "parity": json.dumps(manifest.parity, ensure_ascii=False) if manifest.parity else "not measured",
    }
    for name, value in facts.items():
        click.echo(f"{name:15} {value}")


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def export(arguments: tuple[str, ...]) -> None:
    """Turn a sentence-transformers model into a bundle (needs the extra [export]).

    \b
    Example:
      lightmine export sentence-transformers/all-MiniLM-L6-v2 minilm
    """
    missing = [
        name for name in ("torch", "transformers", "sentence_transformers", "onnx") if not _there(name)
    ]
    if missing:
        raise MissingExtraError(
            f"exporting needs {', '.join(missing)}, which running does not: "
            "pip install 'lightmine[export]' on the machine that exports"
        )
    # A process of its own: nothing of torch is ever loaded beside the runtime.
    sys.exit(
        subprocess.run([sys.executable, "-m", "export_scripts.export", *arguments], check=False).returncode
    )


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
