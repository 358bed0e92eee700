"""``lightmine paraphrase``, ``lightmine bitext`` and ``lightmine margin``."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_cosine
from lightmine.bitext.mining import score_bitext
from lightmine.bitext.neighbors_file import Saved, load_neighbors, recommended, save_neighbors
from lightmine.bitext.pairing import retrieve
from lightmine.bitext.presets import MarginOptions, margin_rule
from lightmine.cli._by_default import mine_by_default
from lightmine.cli._inputs import Inputs, reading_options
from lightmine.cli._margin_options import margin_options, note_few, recommended_limits
from lightmine.cli._options import max_pairs_option, note, one_stdin, output_format, top_k_option, write
from lightmine.cli._paths import check_outputs
from lightmine.cli._run import (
    Run,
    Texts,
    counts,
    in_words,
    number_or_none,
    pair_filters,
    run_options,
    side_by_side,
    text_options,
)
from lightmine.encoder.encoder import Encoder
from lightmine.engine.counting import LeftOut, left_out
from lightmine.errors import ArgumentError
from lightmine.io.output import STDOUT, open_text
from lightmine.io.pair_writer import FORMATS, write_pairs
from lightmine.io.sentences import Sentences
from lightmine.paraphrase import mine_paraphrases
from lightmine.search import neighbors
from lightmine.text.filters import PairFilter
from lightmine.text.unique import UniqueTexts, unique_texts


@click.command()
@click.argument("file")
@click.argument("other", required=False)
@click.option(
    "--threshold",
    type=number_or_none,
    metavar="COSINE|none",
    help="Only pairs whose cosine is at least this.  [default: what the model recommends, or a higher one "
    "where by estimate fewer than 80% of the pairs would be paraphrases]",
)
@click.option("--max-score", type=float, help="Only pairs whose cosine is at most this: no near-copies.")
@top_k_option
@max_pairs_option
@click.option(
    "--script", metavar="NAME", help="Leave out sentences not in this script, or language's scripts."
)
@click.option("--duplicates-output", metavar="FILE", help="Write the lines that share one text, by cluster.")
@reading_options
@text_options
@pair_filters
@run_options
def paraphrase(
    file: str,
    other: str | None,
    threshold: float | None,
    max_score: float | None,
    top_k: int,
    max_pairs: int,
    script: str | None,
    duplicates_output: str | None,
    inputs: Inputs,
    texts: Texts,
    keep: PairFilter,
    run: Run,
) -> None:
    """Find paraphrases in FILE, one sentence a line (- is standard input), or between FILE and OTHER.

    Files are text, TSV, CSV, JSONL or Parquet, compressed or not, here or at a URL.

    Writes score (cosine), the lines that the two sentences stand on, and their texts; best first. A text
    that stands on several lines is one sentence: copies are no paraphrases, --duplicates-output lists them.

    Without --threshold the precision is estimated from the scores, and a note says which threshold follows
    from it. It depends on the texts and the model alone. Where --top-k or --max-pairs left pairs out, a note
    says how many.

    \b
    Example:
      lightmine paraphrase examples/questions.txt --threshold 0.6 -o pairs.tsv
    """  # fmt: skip
    check_cosine(threshold, name="threshold")
    check_cosine(max_score, name="max_score")
    names = [file] if other is None else [file, other]
    one_stdin(*names)
    run.check_outputs(*names, **{"--duplicates-output": duplicates_output})
    if duplicates_output is not None:
        output_format(duplicates_output, None)
    with open_text(run.output) as stream:
        readings = inputs.readings(len(names))
        read = [
            texts.read(name, reading, run, script=script)
            for name, reading in zip(names, readings, strict=True)
        ]
        encoder = run.encoder()
        read = [texts.known(sentences, encoder, run) for sentences in read]
        distinct_texts = [texts.unique_texts(sentences, run) for sentences in read]
        if duplicates_output is not None:
            _write_duplicates(duplicates_output, read, texts, run)
        sides, vectors = _encoded(encoder, distinct_texts, read, run)
        limits: dict[str, Any] = {"top_k": top_k, "max_pairs": max_pairs, "max_score": max_score}
        if threshold is None:
            found, threshold = mine_by_default(encoder, vectors, run, **limits)
        else:
            found = mine_paraphrases(*vectors, **(run.engine | limits | {"threshold": threshold}))
        cut = left_out(
            found, *vectors, threshold=threshold, **limits, memory_budget=run.memory_budget,
            threads=run.threads,
        )  # fmt: skip
        if line := capped(cut, threshold, **limits):
            run.note(line)
        pairs = found[_kept(keep, sides[0], sides[-1], (found.left, found.right), run.note)]
        columns: dict[str, Any] = {"score": pairs.score} | side_by_side(
            ("left", sides[0], pairs.left), ("right", sides[-1], pairs.right)
        )
        message = run.write(stream, columns)
    run.finished(message)


@click.command()
@click.argument("source")
@click.argument("target")
@margin_options
@click.option("--score-only", is_flag=True, help="The files are aligned: write each line pair's margin.")
@click.option("--save-neighbors", metavar="FILE.npz", help="Keep the neighbours, for lightmine margin.")
@click.option("--source-script", metavar="NAME", help="Leave out source sentences not in this script, or "
              "language's scripts.")  # fmt: skip
@click.option("--target-script", metavar="NAME", help="The same for target sentences.")
@reading_options
@text_options
@pair_filters
@run_options
def bitext(
    source: str,
    target: str,
    options: MarginOptions,
    score_only: bool,
    save_neighbors: str | None,
    source_script: str | None,
    target_script: str | None,
    inputs: Inputs,
    texts: Texts,
    keep: PairFilter,
    run: Run,
) -> None:
    """Find translations between SOURCE and TARGET, one sentence a line (- is standard input).

    Files are text, TSV, CSV, JSONL or Parquet, compressed or not, here or at a URL.

    Writes margin, cosine, the lines that the two sentences stand on, their ids if there are ids, and their
    texts; best first.

    \b
    Example:
      lightmine bitext examples/english.txt examples/german.txt --threshold 1.1 -o bitext.tsv
    """  # fmt: skip
    one_stdin(source, target)
    if score_only and save_neighbors is not None:
        raise ArgumentError("--score-only mines nothing: there are no neighbours to save")
    _npz(save_neighbors)
    run.check_outputs(source, target, **{"--save-neighbors": save_neighbors})
    with open_text(run.output) as stream:
        read = [
            texts.read(path, reading, run, script=script)
            for path, reading, script in zip(
                (source, target), inputs.readings(2), (source_script, target_script), strict=True
            )
        ]
        encoder = run.encoder()
        if score_only:
            message = run.write(stream, _aligned(read, options, keep, encoder, run))
        else:
            read = [texts.known(sentences, encoder, run) for sentences in read]
            sides, vectors = _encoded(encoder, [texts.unique_texts(s, run) for s in read], read, run)
            rule = margin_rule(**options)
            near = neighbors(*vectors, k=max(rule.k, rule.back), both=True, **run.engine)
            saved = Saved(
                near, rule.k, rule.back, sides[0], sides[1], encoder.manifest.name,
                recommended(encoder.manifest.thresholds),
            )  # fmt: skip
            if save_neighbors is not None:
                _save(save_neighbors, saved, run)
            message = run.write(stream, _mined(saved, options, keep, run.note))
    run.finished(message)


@click.command()
@click.argument("file")
@margin_options
@pair_filters
@click.option(
    "--output",
    "-o",
    default=STDOUT,
    metavar="FILE",
    show_default=True,
    help="Where pairs go, as lightmine bitext has it; - is standard output.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="By default what the file's ending says; on a terminal a table, in a pipe TSV.",
)
@click.option("--quiet", "-q", is_flag=True, help="No notes on stderr.")  # fmt: skip
def margin(
    file: str,
    options: MarginOptions,
    keep: PairFilter,
    output: str,
    format_: str | None,
    quiet: bool,
) -> None:
    """Make pairs of neighbours that bitext --save-neighbors kept: other margins, retrievals, thresholds.

    Writes what lightmine bitext would write with these options, in seconds: nothing is encoded or searched.

    \b
    Example:
      lightmine margin near.npz --retrieval intersect --threshold 1.2 -o bitext.tsv
    """  # fmt: skip
    format_ = output_format(output, format_)
    check_outputs([file], {"--output": output})
    with open_text(output) as stream:
        columns = _mined(load_neighbors(file), options, keep, functools.partial(note, quiet=quiet))
        message = write(stream, output, columns, format_=format_)
    note(message, quiet=quiet)


def _npz(path: str | None) -> None:
    """Refuse a place for neighbours that does not say what it is."""
    if path is not None and not path.endswith(".npz"):
        raise ArgumentError(f"{path}: name it .npz, which is what neighbours are saved as")


def _save(path: str, saved: Saved, run: Run) -> None:
    save_neighbors(path, saved)
    k = saved.near.index.shape[1]
    run.note(f"{k} neighbours of {len(saved.source):,} and {len(saved.target):,} texts to {path}")


def _kept(
    keep: PairFilter,
    left: UniqueTexts,
    right: UniqueTexts,
    rows: tuple[NDArray[Any], NDArray[Any]],
    say: Callable[[str], None],
) -> NDArray[np.bool_]:
    """Which pairs the filters let stay; what they leave out is counted and said."""
    if keep == PairFilter():
        return np.ones(len(rows[0]), bool)
    stays, left_out = keep.apply([left.texts[i] for i in rows[0]], [right.texts[j] for j in rows[1]])
    if left_out:
        say(counts("pair", left_out))
    return np.array(stays, bool)


def capped(cut: LeftOut | None, threshold: float, *, top_k: int, max_pairs: int, **_: Any) -> str:
    """What a cap left out, in one line; empty where it left nothing out.

    Examples
    --------
    >>> capped(LeftOut("top_k", 19_900, 0, 300), 0.95, top_k=100, max_pairs=500_000)
    '--top-k 100 was reached by 300 sentences: 19,900 more pairs score 0.95 or more; raise it to have them'
    """
    if cut is None:
        return ""
    more = f"{cut.pairs:,}" if not cut.error else f"about {cut.pairs:,} (within {cut.error:,})"
    score = "" if threshold == -math.inf else f" score {threshold:g} or more"
    reached = f"--max-pairs {max_pairs:,} was reached"
    if cut.cap == "top_k":
        reached = f"--top-k {top_k:,} was reached by {in_words(cut.rows, 'sentence')}"
    return f"{reached}: {more} more pairs{score or ' are left out'}; raise it to have them"


def _encoded(
    encoder: Encoder, sides: Sequence[UniqueTexts], read: Sequence[Sentences], run: Run
) -> tuple[list[UniqueTexts], list[NDArray[np.float32]]]:
    """The texts of each side that have tokens, and their vectors."""
    encoded = [
        run.encode_distinct(encoder, side, sentences.name)
        for side, sentences in zip(sides, read, strict=True)
    ]
    return [side for side, _ in encoded], [vectors for _, vectors in encoded]


def _mined(
    saved: Saved, options: MarginOptions, keep: PairFilter, say: Callable[[str], None]
) -> dict[str, Any]:
    """What is written of neighbours: the pairs within the options and what the model recommends."""
    if not options.get("compat") and options.get("k") is None:
        back = options.get("k_backward") or saved.k_backward
        options = options | {"k": saved.k, "k_backward": back}
    options = recommended_limits(options, saved.recommended, saved.model, say)
    found = retrieve(saved.near, **options)
    note_few({"the source": len(saved.source), "the target": len(saved.target)}, say)
    if not len(found):
        _say_best(saved, options, say)
    pairs = found[_kept(keep, saved.source, saved.target, (found.left, found.right), say)]
    return {"margin": pairs.score, "cosine": pairs.cosine} | side_by_side(
        ("source", saved.source, pairs.left), ("target", saved.target, pairs.right)
    )


def _say_best(saved: Saved, options: MarginOptions, say: Callable[[str], None]) -> None:
    """Where no pair is left, say how near the best one comes to the limits."""
    rule = margin_rule(**options)
    best = retrieve(saved.near, k=rule.k, k_backward=rule.back, margin=rule.margin, retrieval=rule.retrieval)[
        :1
    ]
    for margin_, cosine in zip(best.score, best.cosine, strict=True):
        say(f"no pair is within the limits; the best has a margin of {margin_:.4f}, a cosine of {cosine:.4f}")


def _aligned(
    read: Sequence[Sentences], options: MarginOptions, keep: PairFilter, encoder: Encoder, run: Run
) -> dict[str, Any]:
    """What is written of an aligned corpus: every line pair, in the order of the lines."""
    source, target = read
    if source.total != target.total:
        raise ArgumentError(
            f"{source.name} has {source.total:,} lines and {target.name} {target.total:,}: "
            "an aligned corpus has as many on either side"
        )
    places = [{row: at for at, row in enumerate(side.places())} for side in read]
    lines = sorted(places[0].keys() & places[1].keys())
    if alone := len(places[0].keys() ^ places[1].keys()):
        run.note(f"{alone:,} lines are left out for want of the other side's line")
    # Texts are encoded, and count as neighbours, once; pairs are of lines.
    sides = [unique_texts(sentences) for sentences in read]
    rows = [
        {by_line[line]: row for row, group in enumerate(texts.lines) for line in group}
        for texts, by_line in zip(
            sides, (dict(zip(side.lines, side.places(), strict=True)) for side in read), strict=True
        )
    ]
    vectors = [
        run.encode_all(encoder, side.texts, [lines[0] for lines in side.lines], sentences.name)
        for side, sentences in zip(sides, read, strict=True)
    ]
    pairs = np.array([(rows[0][line], rows[1][line]) for line in lines], np.int64).reshape(-1, 2)
    scored = score_bitext(vectors[0], vectors[1], pairs, **run.engine, **options)
    by_line = [
        UniqueTexts(
            s.texts, [[line] for line in s.lines], None if s.ids is None else [[id_] for id_ in s.ids]
        )
        for s in read
    ]
    own = [np.array([place[line] for line in lines], np.int64) for place in places]
    stays = _kept(keep, by_line[0], by_line[1], (own[0], own[1]), run.note)
    limit = margin_rule(**options)
    stays &= limit.admits(scored.score, scored.cosine)
    return {"margin": scored.score[stays], "cosine": scored.cosine[stays]} | side_by_side(
        ("source", by_line[0], own[0][stays]), ("target", by_line[1], own[1][stays])
    )


def _write_duplicates(path: str, read: Sequence[Sentences], texts: Texts, run: Run) -> None:
    """The lines that share a text with another line, a cluster of them after the other."""
    with_ids = any(sentences.ids is not None for sentences in read)
    names = ["file", "cluster", "line", *["id"] * with_ids, "text"]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    clusters = 0
    for sentences in read:
        ids = sentences.ids or [""] * len(sentences)
        told = {
            line: (*[id_] * with_ids, text)
            for line, id_, text in zip(sentences.lines, ids, sentences.texts, strict=True)
        }
        for lines in unique_texts(sentences, texts.key).lines:
            if len(lines) > 1:
                clusters += 1
                for line in lines:
                    for name, value in zip(
                        columns, (sentences.name, clusters, line, *told[line]), strict=True
                    ):
                        columns[name].append(value)
    with open_text(path) as stream:
        write_pairs(stream, columns, format=output_format(path, None))
    run.note(f"{len(columns['line']):,} lines in {clusters:,} clusters of copies to {path}")
