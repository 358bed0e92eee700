"""``lightmine encode``: sentences to a matrix on disk."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from lightmine.cli._command import command, option
from lightmine.cli._encode_ranges import int8_ranges
from lightmine.cli._encode_stream import encode_to_stream
from lightmine.cli._inputs import InputOptions, reading_options
from lightmine.cli._notes import in_words, note, note_reading, note_truncated
from lightmine.cli._options import (
    fast_option,
    model_option,
    prompt_options,
    provider_option,
    quiet_option,
    threads_option,
    verify_option,
)
from lightmine.cli._outputs import check_outputs, files_of
from lightmine.encoder.embedding_quantization import PRECISIONS
from lightmine.encoder.encoder import Encoder
from lightmine.encoder.providers import Provider
from lightmine.errors import ArgumentError, TextError
from lightmine.io.compression import NAMES
from lightmine.io.formats import ReadOptions, plain_name
from lightmine.io.output import STDOUT
from lightmine.io.sentences import SentenceStream, stream_sentences
from lightmine.loading.bundle import Verify
from lightmine.progress import Bar
from lightmine.store import write_embeddings
from lightmine.store.journal import kept_rows
from lightmine.store.writer import Written

# Endings of the files that are written together with the matrix.
COMPANIONS = (".json", ".part", ".part.jsonl")
COMPRESSED = tuple(f".{ending}" for ending in NAMES)


@command()
@click.argument("file")
@option("Output", "--output", "-o", required=True, metavar="OUT.npy", help="File for the vectors.")
@model_option
@reading_options
@prompt_options
@option(
    "Encoding",
    "--truncate-dim",
    type=click.IntRange(1),
    metavar="N",
    show_default="all dimensions",
    help="Keep only the first N dimensions.",
)
@option(
    "Encoding",
    "--max-tokens",
    type=click.IntRange(1),
    metavar="N",
    show_default="the model's limit",
    help="Cut sentences after N tokens.",
)
@option(
    "Encoding",
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    help="Precision of the vectors. int8 needs --ranges; binary is one bit a dimension.",
)
@option(
    "Encoding",
    "--ranges",
    metavar="FILE.npy",
    show_default="none",
    help="For int8: the lowest and highest value of each dimension. If the file does not exist, it is made "
    "from the sentences.",
)
@option(
    "Encoding",
    "--batch-tokens",
    type=click.IntRange(1),
    metavar="N",
    show_default="the model's own",
    help="Tokens in a batch. This changes the time, not the vectors.",
)
@option(
    "Run",
    "--restart",
    is_flag=True,
    help="Begin again from the first sentence, also if OUT.npy holds vectors of another run.",
)
@provider_option
@verify_option
@fast_option
@threads_option
@quiet_option  # fmt: skip
def encode(
    file: str,
    output: str,
    model: str | None,
    provider: Provider,
    verify: Verify,
    threads: int | None,
    ranges: str | None,
    restart: bool,
    quiet: bool,
    inputs: InputOptions,
    **options: Any,
) -> None:
    """Encode sentences to a NumPy matrix.

    FILE has one sentence a line (- is standard input). Row i of the matrix is the vector of line i + 1. A
    blank line has a row of zeros, which mining refuses: use files without blank lines if the vectors are to
    be mined.

    OUT.npy appears when it is complete, together with OUT.npy.json, which describes it. If the command is
    interrupted, the same command resumes there. Vectors of another input, model or option are never
    overwritten, unless --restart is given.

    \b
    Example:
      lightmine encode examples/english.txt -o english.npy
    """
    if (ranges is not None) != (options["precision"] == "int8"):
        raise ArgumentError("--precision int8 and --ranges FILE.npy go together; give both or neither")
    _check_places(file, output, ranges, model)
    reading = inputs.readings(1)[0]
    encoder = Encoder.load(model, provider=provider, threads=threads, verify=verify)
    if not _is_resumable(output):
        encode_to_stream(file, reading, output, encoder, ranges, options, quiet)
        return
    stream = stream_sentences(file, reading)
    bar = Bar("encoding", "sentence", quiet=quiet, guess=lambda: _estimate(stream))
    lines: Iterable[str] = _lines(stream)
    name = stream.name
    if ranges is not None:
        if not Path(ranges).exists() and file == "-":
            lines = list(lines)  # read twice, and standard input can be read once
        again = _lines(stream_sentences(file, reading)) if file != "-" else lines
        options["ranges"] = int8_ranges(ranges, encoder, again, options, quiet)
    try:
        written = write_embeddings(
            output, encoder, lines, name=name, restart=restart,
            more_than=functools.partial(_has_more, file, reading), progress=bar, **options,
        )  # fmt: skip
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
        if rows := kept_rows(output):
            note(f"stopped; {rows:,} rows are kept, and the same command resumes there", quiet=quiet)
        raise
    finally:
        bar.close()
    note_reading(stream, stream.total, reading, quiet=quiet)
    if written.found < written.manifest.rows:
        note_truncated(encoder, name, written.manifest.cut, max_tokens=options["max_tokens"], quiet=quiet)
    for line in _about(written, name, output):
        note(line, quiet=quiet)


def _check_places(file: str, output: str, ranges: str | None, model: str | None) -> None:
    """Refuse names that do not fit what is written, and files that would be overwritten."""
    companions = {f"{output}{ending}": f"the file {output}{ending} beside --output" for ending in COMPANIONS}
    to_file = _is_resumable(output)
    for path, name in ((output, "--output"), (ranges, "--ranges")):
        is_special = path == STDOUT or (
            path is not None and os.path.exists(path) and not os.path.isfile(path)
        )
        plain = "" if path is None else path[: path.rfind(".")] if path.endswith(COMPRESSED) else path
        if path is not None and not is_special and not plain_name(plain).endswith(".npy"):
            raise ArgumentError(f"{path}: {name} is a NumPy matrix; name it .npy")
    made = ranges if ranges is not None and not os.path.exists(ranges) else None
    read = [file, *files_of(model), ranges if made is None else None]
    check_outputs(read, {"--output": output, "--ranges": made})
    if to_file:
        check_outputs(read, {name: path for path, name in companions.items()})


def _is_resumable(output: str) -> bool:
    """Whether an interrupted run can be resumed there: the output is an uncompressed file."""
    is_file = os.path.isfile(output) or not os.path.exists(output) or os.path.isdir(output)
    return is_file and output != STDOUT and not output.endswith(COMPRESSED) and "://" not in output


def _estimate(stream: SentenceStream) -> int | None:
    """An estimate of the number of sentences, from the part of the file that was read."""
    return round(stream.sentences / stream.share) if stream.share and stream.sentences else None


def _has_more(file: str, reading: ReadOptions, rows: int) -> bool:
    """Whether a file certainly has more rows than these; it is read as far as that needs."""
    stream = stream_sentences(file, reading)
    if stream.share is None:
        return False
    # Faults of the file are reported when its rows are read.
    with contextlib.suppress(TextError):
        for block in stream:
            if block.total > rows:
                return True
            if stream.share and block.total < rows * stream.share / 2:
                return False
    return False


def _lines(stream: SentenceStream) -> Iterator[str]:
    """A text for every record of a file, an empty one for a blank record."""
    row = 0
    for block in stream:
        for text, place in zip(block.texts, block.rows, strict=True):
            if place > row:
                yield from itertools.repeat("", place - row)
            yield text
            row = place + 1
        yield from itertools.repeat("", block.total - row)
        row = block.total


def _about(written: Written, name: str, output: str) -> Iterator[str]:
    """The notes about a complete file."""
    made = written.manifest
    if written.found == made.rows:
        yield f"{output} holds the {made.rows:,} vectors of {name} already; nothing to do"
        return
    if blank := made.rows - made.sentences:
        yield f"{name}: {blank:,} blank lines have rows of zeros"
    if empty := made.without_tokens:
        yield f"{name}: {in_words(empty, 'line')} without a token of {made.header.model}: rows of zeros"
    precision, dimension = made.header.identity["precision"], made.header.identity["dimension"]
    kind = "" if precision == "float32" else f", {precision}"
    before = f"; {written.found:,} of them were there already" if written.found else ""
    yield f"{made.rows:,} vectors of {dimension} dimensions{kind} to {output}{before}"
