"""``lightmine encode``, ``lightmine info`` and ``lightmine export``."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from lightmine.cli.inputs import Inputs, reading_options
from lightmine.cli.options import (
    Bar,
    fast_option,
    model_option,
    note,
    note_truncated,
    provider_option,
    quiet_option,
    read,
    threads_option,
)
from lightmine.encoding.bundle import manifest_json
from lightmine.encoding.encoder import Encoder
from lightmine.encoding.locate import open_source
from lightmine.encoding.quantised import PRECISIONS
from lightmine.encoding.runtime import Runtime
from lightmine.errors import ArgumentError, MissingExtraError
from lightmine.texts.lines import Sentences
from lightmine.texts.output import open_binary
from lightmine.threads import thread_limit

# Sentences that int8 ranges are made from, at most.
CALIBRATION = 10_000
# What a manifest's `batch` means to whoever encodes.
BATCH_MATES = {
    "any": "do not change a vector",
    "one": "do not change a vector: sentences are run one at a time; --fast runs them together, and they do",
    "mates": "change a vector a little: this graph scales its numbers by the whole batch",
}


# What the exporter imports; a folder that carries ONNX needs less.
NEEDED = ("torch", "transformers", "sentence_transformers", "onnx")


@click.command()
@click.argument("file")
@click.option("--output", "-o", required=True, metavar="OUT.npy", help="Where the vectors go.")
@model_option
@reading_options
@click.option("--prompt", metavar="TEXT", help="Goes before every sentence; by default the model's own.")
@click.option("--prompt-name", metavar="NAME", help="The same, by its name in the model's manifest.")
@click.option("--truncate-dim", type=click.IntRange(1), help="Only the first so many dimensions.")
@click.option("--max-tokens", type=click.IntRange(1), help="Cut sentences earlier than the model would.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Of the vectors written; int8 needs --ranges, binary is a bit a dimension.",
)
@click.option(
    "--ranges",
    metavar="FILE.npy",
    help="For int8: each dimension's least and largest value; made from FILE's sentences where not there.",
)
@provider_option
@fast_option
@click.option("--batch-tokens", type=click.IntRange(1), help="Tokens of a batch; changes time, not vectors.")
@threads_option
@quiet_option
def encode(
    file: str,
    output: str,
    model: str | None,
    provider: str,
    threads: int | None,
    ranges: str | None,
    quiet: bool,
    inputs: Inputs,
    **options: Any,
) -> None:
    """Encode FILE, one sentence a line (- is standard input), to a NumPy matrix.

    Row i of the matrix is the vector of line i + 1. A blank line has a row of zeros, which mining refuses:
    leave blank lines out of a file whose vectors are to be mined.

    \b
    Example:
      lightmine encode examples/english.txt -o english.npy
    """
    if (ranges is not None) != (options["precision"] == "int8"):
        raise ArgumentError("--precision int8 and --ranges FILE.npy go together; give both or neither")
    with open_binary(output) as stream:
        sentences = read(file, inputs.readings(1)[0], quiet=quiet)
        encoder = Encoder.load(model, provider=provider, threads=threads)
        if ranges is not None:
            options["ranges"] = _ranges(ranges, encoder, sentences.texts, options, quiet=quiet)
        bar = Bar("encoding", "sentence", quiet=quiet)
        blocks = encoder.stream(sentences.texts, progress=bar, **options)
        width = 0
        for rows in _by_line(blocks, sentences):
            if not width:
                width = rows.shape[1]
                header = {"descr": rows.dtype.str, "fortran_order": False, "shape": (sentences.total, width)}
                np.lib.format.write_array_header_1_0(stream, header)
            stream.write(rows.tobytes())
        note_truncated(encoder, sentences.name, max_tokens=options["max_tokens"], quiet=quiet)
    kind = "" if options["precision"] == "float32" else f", {options['precision']}"
    dimension = options["truncate_dim"] or encoder.manifest.dimension
    note(f"{sentences.total:,} vectors of {dimension} dimensions{kind} to {output}", quiet=quiet)


def _by_line(blocks: Iterator[NDArray[Any]], sentences: Sentences) -> Iterator[NDArray[Any]]:
    """Blocks with a row for every line of the file: zeros for blank ones."""
    encoded = written = 0
    places = sentences.places()
    for block in blocks:
        at = np.array(places[encoded : encoded + len(block)])
        encoded += len(block)
        until = int(at[-1]) + 1 if encoded < len(sentences) else sentences.total
        rows = np.zeros((until - written, block.shape[1]), block.dtype)
        rows[at - written] = block
        written = until
        yield rows


def _ranges(
    path: str, encoder: Encoder, texts: Sequence[str], options: dict[str, Any], *, quiet: bool
) -> NDArray[Any]:
    """Ranges from a file, or from some of the sentences and to that file."""
    if Path(path).exists():
        try:
            found: NDArray[Any] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ArgumentError(f"{path}: no ranges that can be read: {error}") from None
        return found
    # Evenly spread: files are often sorted.
    sample = texts[:: -(-len(texts) // CALIBRATION)]
    found = encoder.calibrate(sample, **options | {"precision": "float32"})
    with open_binary(path) as stream:
        np.lib.format.write_array(stream, found, allow_pickle=False)
    note(f"ranges of {len(sample):,} sentences to {path}", quiet=quiet)
    return found


@click.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="The whole manifest as JSON.")
@provider_option
def info(model: str | None, as_json: bool, provider: str) -> None:
    """Show what a model says about itself, a bundle's files checked, and what runs it here.

    MODEL is a bundle's folder, a directory with an ONNX graph, or owner/name[@revision] on a hub; without
    it, the model that comes with lightmine.

    \b
    Example:
      lightmine info
    """
    source = open_source(model)
    if as_json:
        click.echo(manifest_json(source.manifest), nl=False)
        return
    runtime = Runtime(source.graph, source.manifest, provider=provider)
    manifest = source.measured(runtime.run).manifest
    limit = thread_limit()
    facts = {
        "model": manifest.name,
        "folder": str(source.folder),
        "graph": source.graph.relative_to(source.folder).as_posix(),
        "source": manifest.source + (f" at {manifest.revision}" if manifest.revision else ""),
        "licence": manifest.licence,
        "languages": " ".join(manifest.languages) or "not stated",
        "dimension": str(manifest.dimension),
        "longest input": f"{manifest.max_tokens} tokens, cut beyond",
        "pooling": manifest.pooling,
        "precision": manifest.precision + (f": {manifest.recipe}" if manifest.recipe else ""),
        "suits": " ".join(manifest.cpus) or "any processor",
        "prompts": ", ".join(map(repr, manifest.prompts)) or "none",
        "default prompt": repr(manifest.prompts.get(manifest.default_prompt or "", "")),
        "batch-mates": BATCH_MATES[manifest.batch],
        "size": f"{source.size / 1e6:.1f} MB"
        + (", every file as its SHA-256 says" if source.verified else ", no hashes to check it by"),
        "parity": json.dumps(manifest.parity, ensure_ascii=False) if manifest.parity else "not measured",
        "runs on": f"{runtime.provider}: {runtime.reason}",
        "threads": f"{limit.threads}, from {limit.source}",
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
    needed = ("onnx",) if "--from-onnx" in arguments else NEEDED
    missing = [name for name in needed if not _there(name)]
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
