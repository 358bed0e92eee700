"""Options that several commands share, and what they say on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO, TypeVar

import click
from numpy.typing import NDArray

from lightmine.encoder.encoder import Encoder
from lightmine.encoder.providers import PROVIDERS
from lightmine.errors import ArgumentError, TextError
from lightmine.io.formats import ReadOptions
from lightmine.io.output import STDOUT
from lightmine.io.pair_writer import FORMATS, Columns, format_of, write_pairs
from lightmine.io.parquet import pyarrow_or_error
from lightmine.io.sentences import Sentences, SentenceStream, read_sentences
from lightmine.loading.bundle import VERIFY
from lightmine.progress import Bar as Bar
from lightmine.store import Cache
from lightmine.system.memory import check_memory

Command = TypeVar("Command", bound=Callable[..., Any])

# Rows of a table on a terminal, where more would scroll away; files and pipes get every row.
TERMINAL_ROWS = 40


def options(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several click options as one decorator, in the order that help shows them."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress and no notes on stderr.")
model_option = click.option(
    "--model",
    metavar="MODEL",
    envvar="LIGHTMINE_MODEL",
    show_envvar=True,
    help="A bundle's folder, a directory with an ONNX graph, owner/name[@revision] on a hub, or one of the "
    "packaged models by its name: static-multilingual, which is the default, or static-tiny.",
)
provider_option = click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    default="auto",
    show_default=True,
    help="What runs the model; lightmine info shows what auto takes, and why.",
)
verify_option = click.option(
    "--verify",
    type=click.Choice(VERIFY),
    default="full",
    show_default=True,
    help="How a bundle's files are checked: by SHA-256, or by their sizes alone.",
)
fast_option = click.option(
    "--fast",
    is_flag=True,
    help="Run int8 models in batches: sooner, and vectors then depend a little on their batch-mates.",
)
top_k_option = click.option(
    "--top-k",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Partners that each sentence may list.",
)
max_pairs_option = click.option(
    "--max-pairs",
    type=click.IntRange(1),
    default=500_000,
    show_default=True,
    help="Pairs that are kept at most, the best first.",
)
memory_option = click.option(
    "--memory-budget",
    default="1GiB",
    show_default=True,
    metavar="SIZE",
    help="What mining may allocate beyond the embeddings and the result.",
)
cache_option = click.option(
    "--cache",
    metavar="DIR",
    envvar="LIGHTMINE_CACHE",
    show_envvar=True,
    help="Keep embeddings here, and use those that are: only new texts are encoded.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(1), help="Workers; by default one for each processor."
)
prompt_options = options(
    click.option("--prompt", metavar="TEXT", help="Goes before every sentence; by default the model's own."),
    click.option("--prompt-name", metavar="NAME", help="The same, by its name in the model's manifest."),
)
mining_options = options(
    click.option("--output", "-o", default=STDOUT, metavar="FILE", show_default=True,
                 help="Where pairs go: .tsv, .csv, .jsonl (also .gz, .bz2, .xz, .zst) or .parquet; "
                 "- is standard output."),
    click.option("--format", "format_", type=click.Choice(FORMATS),
                 help="By default what the file's ending says; on a terminal a table, in a pipe TSV."),
    model_option,
    provider_option,
    verify_option,
    fast_option,
    prompt_options,
    memory_option,
    threads_option,
    click.option("--resume", metavar="DIR",
                 help="Keep there how far mining has come, and go on from there when interrupted."),
    cache_option,
    quiet_option,
)  # fmt: skip


def note(message: str, *, quiet: bool) -> None:
    """One line for people, on stderr."""
    if not quiet:
        print(f"lightmine: {message}", file=sys.stderr)


def read(path: str, reading: ReadOptions | None = None, *, quiet: bool) -> Sentences:
    """Sentences of a file; an empty one is an error, and what was left out or replaced is said."""
    sentences = read_sentences(path, reading)
    if not len(sentences):
        what = "is empty" if not sentences.total else f"has {sentences.total} lines, all of them blank"
        raise TextError(f"{sentences.name}: {what}; one sentence a line is needed")
    note_reading(sentences, len(sentences), reading or ReadOptions(), quiet=quiet)
    return sentences


def note_reading(
    read: Sentences | SentenceStream, sentences: int, reading: ReadOptions, *, quiet: bool
) -> None:
    """Say what of a file, read to its end, is no part of its sentences, and what was replaced."""
    if read.bom:
        note(f"{read.name}: a byte order mark at its start is left out", quiet=quiet)
    if read.replaced:
        what = f"{read.replaced:,} times bytes that are not {reading.encoding.upper()}"
        note(f"{read.name}: {what} were replaced by U+FFFD", quiet=quiet)
    for what, count in read.remarks.items():
        note(f"{read.name}: {count:,} {what}", quiet=quiet)
    if blank := read.total - sentences:
        what = "blank lines" if reading.text_column is None else "records without a sentence"
        note(f"{read.name}: {blank:,} {what} left out; the others keep their numbers", quiet=quiet)


def encode_texts(
    encoder: Encoder, texts: Sequence[str], name: str, *, cache: str | None, quiet: bool, **options: Any
) -> NDArray[Any]:
    """Encode with a progress bar, from a cache what it has; cut sentences are said once.

    Texts without tokens have rows of zeros.
    """
    options["no_tokens"] = "zeros"
    check_memory(len(texts) * encoder.manifest.dimension * 4, f"{name}: {len(texts):,} embeddings")
    bar = Bar("encoding", "sentence", quiet=quiet)
    if not cache:
        vectors = encoder.encode(texts, progress=bar, **options)
        note_truncated(encoder, name, encoder.truncated, max_tokens=options.get("max_tokens"), quiet=quiet)
        return vectors
    encoded = Cache(cache).encode(encoder, texts, progress=bar, **options)
    note_truncated(encoder, name, encoded.cut, max_tokens=options.get("max_tokens"), quiet=quiet)
    note(f"{name}: {encoded.found:,} of {len(texts):,} embeddings from the cache {cache}", quiet=quiet)
    if encoded.damaged:
        what = "entries of the cache were" if encoded.damaged > 1 else "entry of the cache was"
        note(f"{name}: {encoded.damaged:,} {what} damaged, and made again", quiet=quiet)
    if encoded.unwritten:
        note(f"{encoded.unwritten}; new embeddings are not kept", quiet=quiet)
    return encoded.vectors


def note_truncated(encoder: Encoder, name: str, cut: int, *, max_tokens: int | None, quiet: bool) -> None:
    """Say how many sentences were cut."""
    if cut:
        whose = f"{max_tokens} tokens" if max_tokens else f"the model's {encoder.manifest.max_tokens} tokens"
        note(f"{name}: {cut:,} sentences are longer than {whose} and were cut there", quiet=quiet)


def output_format(path: str, format_: str | None) -> str:
    """The format asked for, or the one that the path asks for; settled before the work starts."""
    chosen = format_ or format_of(path)
    if chosen == "parquet":
        pyarrow_or_error(path)
    return chosen


def write(stream: TextIO, path: str, columns: Columns, *, format_: str) -> str:
    """Write pairs to a stream opened for `path`; returns the note to make once they are there."""
    count = len(next(iter(columns.values())))
    shown = count
    if path == STDOUT and format_ == "table" and sys.stdout.isatty():
        shown = min(count, TERMINAL_ROWS)
    write_pairs(stream, {name: values[:shown] for name, values in columns.items()}, format=format_)
    if shown < count:
        return f"the first {shown} of {count:,} pairs; -o pairs.tsv writes them all"
    return f"{count:,} pairs" + ("" if path == STDOUT else f" to {path}")


def one_stdin(*paths: str) -> None:
    """Refuse standard input for two files at once."""
    if paths.count("-") > 1:
        raise ArgumentError("only one of the two files can be - (standard input)")
