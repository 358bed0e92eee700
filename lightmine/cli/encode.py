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

from lightmine.cli._inputs import Inputs, reading_options
from lightmine.cli._options import (
    Bar,
    fast_option,
    model_option,
    note,
    note_reading,
    note_truncated,
    prompt_options,
    provider_option,
    quiet_option,
    read,
    threads_option,
    verify_option,
)
from lightmine.cli._paths import check_outputs, files_of
from lightmine.cli._run import in_words
from lightmine.encoder.embedding_quantization import PRECISIONS
from lightmine.encoder.encoder import Encoder
from lightmine.encoder.providers import Provider
from lightmine.errors import ArgumentError, TextError
from lightmine.io.compression import NAMES
from lightmine.io.formats import ReadOptions, plain_name
from lightmine.io.output import STDOUT, open_binary
from lightmine.io.sentences import Sentences, SentenceStream, stream_sentences
from lightmine.loading.bundle import Verify
from lightmine.store import write_embeddings
from lightmine.store.journal import kept_rows
from lightmine.store.writer import Written
from lightmine.untrusted.arrays import read_array

# Sentences that int8 ranges are made from, at most.
CALIBRATION = 10_000
# What is written beside the matrix, behind its name.
BESIDE = (".json", ".part", ".part.jsonl")
COMPRESSED = tuple(f".{ending}" for ending in NAMES)


@click.command()
@click.argument("file")
@click.option("--output", "-o", required=True, metavar="OUT.npy", help="Where the vectors go.")
@model_option
@reading_options
@prompt_options
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
@click.option("--restart", is_flag=True, help="Begin anew, whatever OUT.npy holds or has of a killed run.")
@provider_option
@verify_option
@fast_option
@click.option("--batch-tokens", type=click.IntRange(1), help="Tokens of a batch; changes time, not vectors.")
@threads_option
@quiet_option
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
    inputs: Inputs,
    **options: Any,
) -> None:
    """Encode FILE, one sentence a line (- is standard input), to a NumPy matrix.

    Row i of the matrix is the vector of line i + 1. A blank line has a row of zeros, which mining refuses:
    leave blank lines out of a file whose vectors are to be mined.

    OUT.npy appears when it is whole, with OUT.npy.json beside it that tells what it holds. After a kill the
    same command goes on where it stood. What is there of another input, model or option is left alone
    unless --restart says otherwise.

    \b
    Example:
      lightmine encode examples/english.txt -o english.npy
    """
    if (ranges is not None) != (options["precision"] == "int8"):
        raise ArgumentError("--precision int8 and --ranges FILE.npy go together; give both or neither")
    _check_places(file, output, ranges, model)
    reading = inputs.readings(1)[0]
    encoder = Encoder.load(model, provider=provider, threads=threads, verify=verify)
    if not _is_kept(output):
        _to_stream(file, reading, output, encoder, ranges, options, quiet)
        return
    stream = stream_sentences(file, reading)
    bar = Bar("encoding", "sentence", quiet=quiet, guess=lambda: _guess(stream))
    lines: Iterable[str] = _lines(stream)
    name = stream.name
    if ranges is not None:
        if not Path(ranges).exists() and file == "-":
            lines = list(lines)  # read twice, and standard input can be read once
        again = _lines(stream_sentences(file, reading)) if file != "-" else lines
        options["ranges"] = _ranges(ranges, encoder, again, options, quiet)
    try:
        written = write_embeddings(
            output, encoder, lines, name=name, restart=restart,
            more_than=functools.partial(_has_more, file, reading), progress=bar, **options,
        )  # fmt: skip
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
        if rows := kept_rows(output):
            note(f"stopped; {rows:,} rows are kept, and the same command goes on there", quiet=quiet)
        raise
    finally:
        bar.close()
    note_reading(stream, stream.total, reading, quiet=quiet)
    if written.found < written.manifest.rows:
        note_truncated(encoder, name, written.manifest.cut, max_tokens=options["max_tokens"], quiet=quiet)
    for line in _about(written, name, output):
        note(line, quiet=quiet)


def _check_places(file: str, output: str, ranges: str | None, model: str | None) -> None:
    """Refuse names that say something else than what is written, and files that would be written over."""
    beside = {f"{output}{ending}": f"the file {output}{ending} beside --output" for ending in BESIDE}
    to_file = _is_kept(output)
    for path, option in ((output, "--output"), (ranges, "--ranges")):
        is_special = path == STDOUT or (
            path is not None and os.path.exists(path) and not os.path.isfile(path)
        )
        plain = "" if path is None else path[: path.rfind(".")] if path.endswith(COMPRESSED) else path
        if path is not None and not is_special and not plain_name(plain).endswith(".npy"):
            raise ArgumentError(f"{path}: {option} is a NumPy matrix; name it .npy")
    made = ranges if ranges is not None and not os.path.exists(ranges) else None
    read = [file, *files_of(model), ranges if made is None else None]
    check_outputs(read, {"--output": output, "--ranges": made})
    if to_file:
        check_outputs(read, {option: path for path, option in beside.items()})


def _is_kept(output: str) -> bool:
    """Whether rows can be kept there as they come: in a file, as they are."""
    is_file = os.path.isfile(output) or not os.path.exists(output) or os.path.isdir(output)
    return is_file and output != STDOUT and not output.endswith(COMPRESSED) and "://" not in output


def _guess(stream: SentenceStream) -> int | None:
    """How many sentences there are if the file goes on as it began."""
    return round(stream.sentences / stream.share) if stream.share and stream.sentences else None


def _has_more(file: str, reading: ReadOptions, rows: int) -> bool:
    """Whether a file surely has more rows than these; it is read as far as there is doubt."""
    stream = stream_sentences(file, reading)
    if stream.share is None:
        return False
    # What is wrong with the file is said when its rows are asked for.
    with contextlib.suppress(TextError):
        for block in stream:
            if block.total > rows:
                return True
            if stream.share and block.total < rows * stream.share / 2:
                return False
    return False


def _lines(stream: SentenceStream) -> Iterator[str]:
    """A text for every record of a file, an empty one for those that are blank."""
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
    """What there is to say of a file that is whole."""
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


def _to_stream(
    file: str,
    reading: ReadOptions,
    output: str,
    encoder: Encoder,
    ranges: str | None,
    options: dict[str, Any],
    quiet: bool,
) -> None:
    """To a pipe, a device or a compressed file, which cannot be continued: all lines are read first."""
    bar = Bar("encoding", "sentence", quiet=quiet)
    with open_binary(output) as stream:
        sentences = read(file, reading, quiet=quiet)
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
    path: str, encoder: Encoder, lines: Iterable[str], options: dict[str, Any], quiet: bool
) -> NDArray[Any]:
    """Ranges from a file, or from some of the sentences and to that file."""
    if Path(path).exists():
        return read_array(path)
    sample = _sample(lines)
    found: NDArray[Any] = encoder.calibrate(sample, **options | {"precision": "float32"})
    with open_binary(path) as stream:
        np.lib.format.write_array(stream, found, allow_pickle=False)
    note(f"ranges of {len(sample):,} sentences to {path}", quiet=quiet)
    return found


def _sample(lines: Iterable[str]) -> list[str]:
    """Sentences evenly spread over all lines, since files are often sorted; each second one goes when there
    are too many."""
    sample: list[str] = []
    step = 1
    for place, text in enumerate(line for line in lines if line.strip()):
        if place % step == 0:
            sample.append(text)
        if len(sample) > CALIBRATION:
            sample, step = sample[::2], step * 2
    return sample
