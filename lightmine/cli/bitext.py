"""``lightmine bitext``; its margin options are in `lightmine.cli._margins`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from lightmine.bitext.mining import score_bitext
from lightmine.bitext.neighbors_file import SavedNeighbors, recommended, save_neighbors
from lightmine.bitext.presets import MarginOptions, margin_spec
from lightmine.cli._command import command, option
from lightmine.cli._inputs import InputOptions, reading_options, refuse_two_stdin
from lightmine.cli._margins import margin_options, mined_columns
from lightmine.cli._outputs import side_by_side
from lightmine.cli._run import RunOptions, run_options
from lightmine.cli._sentences import SentenceOptions, pair_filters, passing, script_option, sentence_options
from lightmine.encoder.encoder import Encoder
from lightmine.errors import ArgumentError
from lightmine.io.output import open_text
from lightmine.io.sentences import Sentences
from lightmine.search import neighbors
from lightmine.text.filters import PairFilter
from lightmine.text.unique import UniqueTexts, unique_texts


@command()
@click.argument("source")
@click.argument("target")
@margin_options
@option(
    "Mining",
    "--score-only",
    is_flag=True,
    help="Mine nothing. The files are aligned: write the margin of each pair of lines.",
)
@option(
    "Output",
    "--save-neighbors",
    metavar="FILE.npz",
    show_default="not written",
    help="Also write the neighbours, which lightmine margin reads.",
)
@script_option("--source-script", "source sentences")
@script_option("--target-script", "target sentences")
@reading_options
@sentence_options
@pair_filters
@run_options  # fmt: skip
def bitext(
    source: str,
    target: str,
    options: MarginOptions,
    score_only: bool,
    save_neighbors: str | None,
    source_script: str | None,
    target_script: str | None,
    inputs: InputOptions,
    sentences: SentenceOptions,
    pair_filter: PairFilter,
    run: RunOptions,
) -> None:
    """Find translations between two files.

    SOURCE and TARGET have one sentence a line (- is standard input). They are text, TSV, CSV, JSONL or
    Parquet, compressed or not, on this machine or at a URL.

    Writes the margin, the cosine, the lines of the two sentences, their ids if there are ids, and their
    texts. The best pairs are first.

    \b
    Example:
      lightmine bitext examples/english.txt examples/german.txt -o bitext.tsv
    """  # fmt: skip
    refuse_two_stdin(source, target)
    if score_only and save_neighbors is not None:
        raise ArgumentError("--score-only mines nothing: there are no neighbours to save")
    if save_neighbors is not None and not save_neighbors.endswith(".npz"):
        raise ArgumentError(f"{save_neighbors}: name it .npz, which is what neighbours are saved as")
    run.check_outputs(source, target, **{"--save-neighbors": save_neighbors})
    with open_text(run.output) as stream:
        read = [
            sentences.read(path, reading, run, script=script)
            for path, reading, script in zip(
                (source, target), inputs.readings(2), (source_script, target_script), strict=True
            )
        ]
        encoder = run.encoder()
        if score_only:
            columns = _aligned_columns(read, options, pair_filter, encoder, run)
        else:
            saved = _neighbors(read, options, sentences, encoder, run)
            if save_neighbors is not None:
                _save(save_neighbors, saved, run)
            columns = mined_columns(saved, options, pair_filter, run.note)
        message = run.write(stream, columns)
    run.finished(message)


def _neighbors(
    read: Sequence[Sentences],
    options: MarginOptions,
    sentences: SentenceOptions,
    encoder: Encoder,
    run: RunOptions,
) -> SavedNeighbors:
    """The neighbours of both sides, each text counted once."""
    known = [sentences.known(side, encoder, run) for side in read]
    texts = [sentences.unique_texts(side, run) for side in known]
    encoded = [run.encode_unique(encoder, side, file.name) for side, file in zip(texts, known, strict=True)]
    (source, x), (target, y) = encoded
    spec = margin_spec(**options)
    near = neighbors(x, y, k=max(spec.k, spec.back), both=True, **run.engine)
    limits = recommended(encoder.manifest.thresholds)
    return SavedNeighbors(near, spec.k, spec.back, source, target, encoder.manifest.name, limits)


def _save(path: str, saved: SavedNeighbors, run: RunOptions) -> None:
    save_neighbors(path, saved)
    k = saved.near.index.shape[1]
    run.note(f"{k} neighbours of {len(saved.source):,} and {len(saved.target):,} texts to {path}")


def _aligned_columns(
    read: Sequence[Sentences],
    options: MarginOptions,
    pair_filter: PairFilter,
    encoder: Encoder,
    run: RunOptions,
) -> dict[str, Any]:
    """What is written of an aligned corpus: every pair of lines, in the order of the lines."""
    lines = _common_lines(read, run)
    # Each text is encoded once and counts once as a neighbour; pairs are of lines.
    texts = [unique_texts(side) for side in read]
    vectors = [
        run.encode_all(encoder, side.texts, [lines[0] for lines in side.lines], file.name)
        for side, file in zip(texts, read, strict=True)
    ]
    pairs = np.stack([_text_rows(*each, lines) for each in zip(texts, read, strict=True)], axis=1)
    scored = score_bitext(
        vectors[0], vectors[1], pairs, **run.engine, compat=options.get("compat"), k=options.get("k"),
        k_backward=options.get("k_backward"), margin=options.get("margin"),
    )  # fmt: skip
    source, target = (_one_text_a_line(side) for side in read)
    i, j = (_sentence_rows(side, lines) for side in read)
    passes = passing(pair_filter, source, target, (i, j), run.note)
    passes &= margin_spec(**options).admits(scored.score, scored.cosine)
    return {"margin": scored.score[passes], "cosine": scored.cosine[passes]} | side_by_side(
        ("source", source, i[passes]), ("target", target, j[passes])
    )


def _common_lines(read: Sequence[Sentences], run: RunOptions) -> list[int]:
    """The lines, counted from 0, that have a sentence on both sides."""
    source, target = read
    if source.total != target.total:
        raise ArgumentError(
            f"{source.name} has {source.total:,} lines and {target.name} {target.total:,}: "
            "an aligned corpus has as many on either side"
        )
    sides = [set(side.places()) for side in read]
    if alone := len(sides[0] ^ sides[1]):
        run.note(f"{alone:,} lines are left out for want of the other side's line")
    return sorted(sides[0] & sides[1])


def _text_rows(texts: UniqueTexts, read: Sentences, lines: Sequence[int]) -> NDArray[np.int64]:
    """The row of each line's text among the unique texts."""
    place = dict(zip(read.lines, read.places(), strict=True))
    row = {place[line]: row for row, group in enumerate(texts.lines) for line in group}
    return np.array([row[line] for line in lines], np.int64)


def _sentence_rows(read: Sentences, lines: Sequence[int]) -> NDArray[np.int64]:
    """The row of each line among the sentences of its side."""
    row = {place: row for row, place in enumerate(read.places())}
    return np.array([row[line] for line in lines], np.int64)


def _one_text_a_line(read: Sentences) -> UniqueTexts:
    ids = None if read.ids is None else [[id_] for id_ in read.ids]
    return UniqueTexts(read.texts, [[line] for line in read.lines], ids)
