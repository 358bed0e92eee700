"""``lightmine paraphrase`` and ``lightmine bitext``."""

from __future__ import annotations

from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from lightmine.bitext import RETRIEVALS, mine_bitext
from lightmine.cli.options import (
    Bar,
    encode_texts,
    mining_options,
    note,
    one_stdin,
    output_format,
    read_distinct,
    write,
)
from lightmine.encoding.encoder import Encoder
from lightmine.engine.tiles import parse_bytes
from lightmine.margin import MARGINS
from lightmine.paraphrase import check_threshold, mine_paraphrases
from lightmine.texts.dedup import Distinct
from lightmine.texts.output import open_text


@click.command()
@click.argument("file")
@click.option("--threshold", type=float, help="Only pairs whose cosine is at least this.")
@click.option(
    "--top-k",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Partners that each sentence may list.",
)
@click.option(
    "--max-pairs",
    type=click.IntRange(1),
    default=500_000,
    show_default=True,
    help="Pairs that are kept at most, the best first.",
)
@mining_options
def paraphrase(
    file: str,
    threshold: float | None,
    top_k: int,
    max_pairs: int,
    output: str,
    format_: str | None,
    model: str | None,
    provider: str,
    fast: bool,
    memory_budget: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Find paraphrases in FILE, one sentence a line (- is standard input).

    Writes score (cosine), the lines that the two sentences stand on, and their texts; best first.

    \b
    Example:
      lightmine paraphrase examples/questions.txt --threshold 0.6 -o pairs.tsv
    """  # fmt: skip
    format_ = output_format(output, format_)
    check_threshold(threshold)
    parse_bytes(memory_budget)
    with open_text(output) as stream:
        texts = read_distinct(file, quiet=quiet)
        encoder = Encoder.load(model, provider=provider, threads=threads)
        vectors = encode_texts(encoder, texts.texts, file, fast=fast, quiet=quiet)
        pairs = mine_paraphrases(
            vectors, top_k=top_k, max_pairs=max_pairs, threshold=threshold, memory_budget=memory_budget,
            threads=threads, progress=Bar("mining", "pair", quiet=quiet),
        )  # fmt: skip
        columns: dict[str, Any] = {"score": pairs.score} | _side_by_side(
            ("left", texts, pairs.left), ("right", texts, pairs.right)
        )
        message = write(stream, output, columns, format_=format_)
    note(message, quiet=quiet)


@click.command()
@click.argument("source")
@click.argument("target")
@click.option(
    "-k",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Neighbours in each direction that the margin compares with.",
)
@click.option("--margin", type=click.Choice(MARGINS), default="ratio", show_default=True)
@click.option(
    "--retrieval",
    type=click.Choice(RETRIEVALS),
    default="max",
    show_default=True,
    help="forward or backward: each sentence's best; intersect: both agree; max: one to one.",
)
@click.option("--threshold", type=float, help="Only pairs whose margin is at least this.")
@mining_options
def bitext(
    source: str,
    target: str,
    k: int,
    margin: str,
    retrieval: str,
    threshold: float | None,
    output: str,
    format_: str | None,
    model: str | None,
    provider: str,
    fast: bool,
    memory_budget: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Find translations between SOURCE and TARGET, one sentence a line (- is standard input).

    Writes margin, cosine, the lines that the two sentences stand on, and their texts; best first.

    \b
    Example:
      lightmine bitext examples/english.txt examples/german.txt --threshold 1.1 -o bitext.tsv
    """  # fmt: skip
    one_stdin(source, target)
    format_ = output_format(output, format_)
    check_threshold(threshold)
    parse_bytes(memory_budget)
    with open_text(output) as stream:
        sides = [read_distinct(path, quiet=quiet) for path in (source, target)]
        encoder = Encoder.load(model, provider=provider, threads=threads)
        vectors = [
            encode_texts(encoder, side.texts, path, fast=fast, quiet=quiet)
            for side, path in zip(sides, (source, target), strict=True)
        ]
        pairs = mine_bitext(
            vectors[0], vectors[1], k=k, margin=margin, retrieval=retrieval, threshold=threshold,
            memory_budget=memory_budget, threads=threads, progress=Bar("mining", "pair", quiet=quiet),
        )  # fmt: skip
        columns: dict[str, Any] = {"margin": pairs.score, "cosine": pairs.cosine} | _side_by_side(
            ("source", sides[0], pairs.left), ("target", sides[1], pairs.right)
        )
        message = write(stream, output, columns, format_=format_)
    note(message, quiet=quiet)


def _side_by_side(*sides: tuple[str, Distinct, NDArray[np.int64]]) -> dict[str, Any]:
    """Line numbers of both sides, then texts of both sides."""
    lines = {f"{name}_lines": [texts.lines[row] for row in rows] for name, texts, rows in sides}
    return lines | {f"{name}_text": [texts.texts[row] for row in rows] for name, texts, rows in sides}
