"""``lightmine paraphrase``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_cosine
from lightmine.cli._command import command, number_or_none, option
from lightmine.cli._default_threshold import capped_in_words, mine_by_default
from lightmine.cli._inputs import InputOptions, reading_options, refuse_two_stdin
from lightmine.cli._options import max_pairs_option, top_k_option
from lightmine.cli._outputs import output_format, side_by_side
from lightmine.cli._run import RunOptions, run_options
from lightmine.cli._sentences import SentenceOptions, pair_filters, passing, script_option, sentence_options
from lightmine.encoder.encoder import Encoder
from lightmine.engine.counting import left_out
from lightmine.engine.spec import Pairs
from lightmine.io.output import open_text
from lightmine.io.pair_writer import write_pairs
from lightmine.io.sentences import Sentences
from lightmine.paraphrase import mine_paraphrases
from lightmine.text.filters import PairFilter
from lightmine.text.unique import unique_texts


@command()
@click.argument("file")
@click.argument("other", required=False)
@option(
    "Mining",
    "--threshold",
    type=number_or_none,
    metavar="COSINE|none",
    show_default="what the model recommends, or more if by estimate fewer than 80% of the pairs would be "
    "paraphrases",
    help="Keep pairs whose cosine is at least this; none keeps all.",
)
@option(
    "Mining",
    "--max-score",
    type=float,
    metavar="COSINE",
    show_default="no limit",
    help="Keep pairs whose cosine is at most this, to leave out near-copies.",
)
@top_k_option
@max_pairs_option
@script_option("--script", "sentences")
@option(
    "Output",
    "--duplicates-output",
    metavar="FILE",
    show_default="not written",
    help="Also write the lines that share one text, in clusters.",
)
@reading_options
@sentence_options
@pair_filters
@run_options  # fmt: skip
def paraphrase(
    file: str,
    other: str | None,
    threshold: float | None,
    max_score: float | None,
    top_k: int,
    max_pairs: int,
    script: str | None,
    duplicates_output: str | None,
    inputs: InputOptions,
    sentences: SentenceOptions,
    pair_filter: PairFilter,
    run: RunOptions,
) -> None:
    """Find paraphrases in one file, or between two.

    FILE and OTHER have one sentence a line (- is standard input). They are text, TSV, CSV, JSONL or Parquet,
    compressed or not, on this machine or at a URL.

    Writes the score (cosine), the lines of the two sentences, and their texts. The best pairs are first. A
    text that is on several lines is one sentence. Copies of it are not paraphrases; --duplicates-output lists
    them.

    Without --threshold, the threshold is estimated from the scores, and a note shows it with the precision
    that is expected. It depends only on the texts and the model. If --top-k or --max-pairs left pairs out, a
    note counts them.

    \b
    Example:
      lightmine paraphrase examples/questions.txt --threshold 0.6 -o pairs.tsv
    """  # fmt: skip
    check_cosine(threshold, name="threshold")
    check_cosine(max_score, name="max_score")
    names = [file] if other is None else [file, other]
    refuse_two_stdin(*names)
    run.check_outputs(*names, **{"--duplicates-output": duplicates_output})
    if duplicates_output is not None:
        output_format(duplicates_output, None)
    with open_text(run.output) as stream:
        readings = inputs.readings(len(names))
        files = [
            sentences.read(name, reading, run, script=script)
            for name, reading in zip(names, readings, strict=True)
        ]
        encoder = run.encoder()
        files = [sentences.known(each, encoder, run) for each in files]
        texts = [sentences.unique_texts(each, run) for each in files]
        if duplicates_output is not None:
            _write_duplicates(duplicates_output, files, sentences, run)
        encoded = [
            run.encode_unique(encoder, side, each.name) for side, each in zip(texts, files, strict=True)
        ]
        vectors = [rows for _, rows in encoded]
        limits = {"top_k": top_k, "max_pairs": max_pairs, "max_score": max_score}
        found = _mine(encoder, vectors, threshold, limits, run)
        left, right = encoded[0][0], encoded[-1][0]
        pairs = found[passing(pair_filter, left, right, (found.left, found.right), run.note)]
        columns = side_by_side(("left", left, pairs.left), ("right", right, pairs.right))
        message = run.write(stream, {"score": pairs.score} | columns)
    run.finished(message)


def _mine(
    encoder: Encoder,
    vectors: list[NDArray[np.float32]],
    threshold: float | None,
    limits: dict[str, Any],
    run: RunOptions,
) -> Pairs:
    """The pairs; a note counts those that `top_k` or `max_pairs` left out."""
    if threshold is None:
        found, threshold = mine_by_default(encoder, vectors, run, **limits)
    else:
        found = mine_paraphrases(*vectors, **(run.engine | limits | {"threshold": threshold}))
    more = left_out(
        found, *vectors, threshold=threshold, **limits, memory_budget=run.memory_budget, threads=run.threads
    )
    if line := capped_in_words(more, threshold, top_k=limits["top_k"], max_pairs=limits["max_pairs"]):
        run.note(line)
    return found


def _write_duplicates(
    path: str, files: Sequence[Sentences], sentences: SentenceOptions, run: RunOptions
) -> None:
    """Write the lines that share a text with another line, cluster by cluster."""
    with_ids = any(file.ids is not None for file in files)
    rows: list[tuple[Any, ...]] = []
    clusters = 0
    for file in files:
        ids = file.ids or [""] * len(file)
        by_line = {
            line: (*[id_] * with_ids, text)
            for line, id_, text in zip(file.lines, ids, file.texts, strict=True)
        }
        for lines in unique_texts(file, sentences.key).lines:
            if len(lines) > 1:
                clusters += 1
                rows += [(file.name, clusters, line, *by_line[line]) for line in lines]
    names = ["file", "cluster", "line", *["id"] * with_ids, "text"]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    with open_text(path) as stream:
        write_pairs(stream, columns, format=output_format(path, None))
    run.note(f"{len(rows):,} lines in {clusters:,} clusters of copies to {path}")
