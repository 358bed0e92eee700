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
import numpy as np
from numpy.typing import NDArray

from lightmine.cli._command import command, option
from lightmine.cli._inputs import InputOptions, read_noted, reading_options
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
from lightmine.errors import ArgumentError, TextError
from lightmine.io.compression import NAMES
from lightmine.io.formats import ReadOptions, plain_name
from lightmine.io.output import STDOUT, open_binary
from lightmine.io.sentences import Sentences, SentenceStream, stream_sentences
from lightmine.progress import Bar
from lightmine.store import write_embeddings
from lightmine.store.journal import kept_rows
from lightmine.store.writer import Written
from lightmine.untrusted.arrays import read_array

# Largest number of sentences that int8 ranges are made from.
CALIBRATION = 10_000
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
    provider: str,
    verify: str,
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
        _to_stream(file, reading, output, encoder, ranges, options, quiet)
        return
    stream = stream_sentences(file, reading)
    bar = Bar("encoding", "sentence", quiet=quiet, guess=lambda: _estimate(stream))
    lines: Iterable[str] = _lines(stream)
    name = stream.name
    if ranges is not None:
        if not Path(ranges).exists() and file == "-":
            lines = list(lines)  # read twice, and standard input can be read once
        again = _lines(stream_sentences(file, reading)) if file != "-" else lines
        options["ranges"] = _ranges(ranges, encoder, again, options, quiet)
    try:
        written = write_embeddings(
            output, encoder, lines, name=name, restart=restart, endless=not os.path.isfile(file),
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
        yield f"{name}: {in_words(empty, 'line')} without a token of {made.head.model}: rows of zeros"
    precision, dimension = made.head.identity["precision"], made.head.identity["dimension"]
    kind = "" if precision == "float32" else f", {precision}"
    before = f"; {written.found:,} of them were there already" if written.found else ""
    yield f"{made.rows:,} vectors of {dimension} dimensions{kind} to {output}{before}"


def _to_stream(
    file: str,
    reading: ReadOptions,
    output: str,
    encoder: Encoder,
    ranges: str | None,
    options: dict[str, Any],
    quiet: bool,
) -> None:
    """Write to a pipe, a device or a compressed file. It cannot be resumed; all lines are read first."""
    bar = Bar("encoding", "sentence", quiet=quiet)
    with open_binary(output) as stream:
        sentences = read_noted(file, reading, quiet=quiet)
        if ranges is not None:
            options["ranges"] = _ranges(ranges, encoder, sentences.texts, options, quiet)
        blocks = encoder.stream(sentences.texts, progress=bar, **options | {"no_tokens": "zeros"})
        width = 0
        for rows in _by_line(blocks, sentences):
            if not width:
                width = rows.shape[1]
                header = {"descr": rows.dtype.str, "fortran_order": False, "shape": (sentences.total, width)}
                np.lib.format.write_array_header_1_0(stream, header)
            stream.write(rows.tobytes())
        note_truncated(
            encoder, sentences.name, encoder.truncated, max_tokens=options["max_tokens"], quiet=quiet
        )
    if empty := len(encoder.without_tokens):
        what = f"{in_words(empty, 'line')} without a token of {encoder.manifest.name}"
        note(f"{sentences.name}: {what}: rows of zeros", quiet=quiet)
    kind = "" if options["precision"] == "float32" else f", {options['precision']}"
    dimension = options["truncate_dim"] or encoder.manifest.dimension
    note(f"{sentences.total:,} vectors of {dimension} dimensions{kind} to {output}", quiet=quiet)


def _by_line(blocks: Iterator[NDArray[Any]], sentences: Sentences) -> Iterator[NDArray[Any]]:
    """Blocks with a row for every line of the file, zeros for a blank line."""
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
    path: str, encoder: Encoder, lines: Iterable[str], options: dict[str, Any], quiet: bool
) -> NDArray[Any]:
    """Ranges from a file, or from a sample of the sentences, written to that file."""
    if Path(path).exists():
        return read_array(path)
    sample = _sample(lines)
    found: NDArray[Any] = encoder.calibrate(sample, **options | {"precision": "float32"})
    with open_binary(path) as stream:
        np.lib.format.write_array(stream, found, allow_pickle=False)
    note(f"ranges of {len(sample):,} sentences to {path}", quiet=quiet)
    return found


def _sample(lines: Iterable[str]) -> list[str]:
    """Sentences spread evenly over all lines, since files are often sorted.

    When there are too many, every second one is removed.
    """
    sample: list[str] = []
    step = 1
    for place, text in enumerate(line for line in lines if line.strip()):
        if place % step == 0:
            sample.append(text)
        if len(sample) > CALIBRATION:
            sample, step = sample[::2], step * 2
    return sample
