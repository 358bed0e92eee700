"""``lightmine evaluate``: how good a model, or a file of mined pairs, is on a set with gold."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click
import numpy as np

from lightmine import evaluation as measures
from lightmine.bitext.pairing import Bitext, retrieve
from lightmine.bitext.presets import MarginOptions, margin_rule
from lightmine.cli._inputs import Inputs, encoding_options, reading_options
from lightmine.cli._margin_options import evaluation_options, recommended_limits
from lightmine.cli._options import (
    cache_option,
    fast_option,
    max_pairs_option,
    memory_option,
    model_option,
    note,
    one_stdin,
    provider_option,
    quiet_option,
    threads_option,
    top_k_option,
    verify_option,
)
from lightmine.cli._run import Run, folded
from lightmine.errors import ArgumentError, TextError, one_line
from lightmine.io.formats import ReadOptions, kind_of
from lightmine.io.gold import Gold, read_gold, read_mined, read_scored
from lightmine.io.output import open_text
from lightmine.io.sentences import Sentences, read_sentences
from lightmine.paraphrase import mine_paraphrases
from lightmine.search import neighbors
from lightmine.summation import sum_rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measuring(Run):
    """By which model to measure, and how to show the figures."""

    output: str = "-"
    format_: str | None = "tsv"
    as_json: bool = False

    def gold(self, read: Gold) -> list[tuple[int, int]]:
        """The true pairs; what else the file holds is said."""
        for line in read.notes():
            self.note(line)
        return read.pairs

    def show(self, figures: Any, **more: Any) -> None:
        """Print figures: a name and a value a line, or one JSON object."""
        show(figures, as_json=self.as_json, **more)


def show(figures: Any, *, as_json: bool, **more: Any) -> None:
    """Print figures: a name and a value a line, or one JSON object."""
    values = dataclasses.asdict(figures) | more
    if as_json:
        click.echo(
            json.dumps({name: value if np.isfinite(value) else None for name, value in values.items()})
        )
        return
    for name, value in values.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.6f}"
        click.echo(f"{name.replace('_', ' '):21} {shown}")


measuring_options = folded(
    "run", Measuring,
    model_option,
    provider_option,
    verify_option,
    fast_option,
    memory_option,
    threads_option,
    cache_option,
    click.option("--json", "as_json", is_flag=True, help="One JSON object."),
    quiet_option,
)  # fmt: skip


@click.group()
def evaluate() -> None:
    """Measure a model, or mined pairs, against gold.

    \b
    Example:
      lightmine evaluate bucc de-en.training.de de-en.training.en de-en.training.gold
    """  # fmt: skip


@evaluate.command()
@click.argument("source")
@click.argument("target")
@click.argument("gold")
@evaluation_options
@encoding_options
@click.option("--output", "-o", metavar="FILE", help="Write the mined pairs too: id TAB id TAB margin.")
@measuring_options  # fmt: skip
def bucc(
    source: str,
    target: str,
    gold: str,
    options: MarginOptions,
    inputs: Inputs,
    output: str | None,
    run: Measuring,
) -> None:
    """Mine SOURCE and TARGET (id TAB sentence) and compare with GOLD (id TAB id), the files of BUCC.

    Precision, recall and F1 at the threshold with the best F1, which is chosen on the gold, as is usual for
    BUCC: halfway between the last score taken and the next. Pairs of equal score are taken together.
    So without --threshold every margin is looked at. Where the model recommends limits for lightmine bitext,
    precision, recall and F1 within them stand beside.

    \b
    Example:
      lightmine evaluate bucc de-en.training.de de-en.training.en de-en.training.gold
    """  # fmt: skip
    one_stdin(source, target, gold)
    run.check_outputs(source, target, gold, **{"--output": output})
    if output is not None and kind_of(output).format not in ("txt", "tsv"):
        raise ArgumentError(f"{output}: id TAB id TAB margin is written; name it .tsv")
    *readings, of_gold = inputs.readings(2, gold=True)
    sides = [
        _read(path, dataclasses.replace(reading, id_column=1))
        for path, reading in zip((source, target), readings, strict=True)
    ]
    rows = [_numbered(side) for side in sides]
    pairs = run.gold(read_gold(gold, rows[0], rows[1], reading=of_gold))
    encoder = run.encoder()
    vectors = [run.encode_all(encoder, side.texts, side.lines, side.name) for side in sides]
    rule = margin_rule(**options)
    near = neighbors(*vectors, k=max(rule.k, rule.back), both=True, **run.engine)
    counted: MarginOptions = {"k": rule.k, "k_backward": rule.back}
    found = retrieve(near, **options | counted)
    if output is not None:
        names = [list(side) for side in rows]
        with open_text(output) as stream:
            for (_, i, j), score in zip(found, found.score, strict=True):
                stream.write(f"{names[0][i]}\t{names[1][j]}\t{score}\n")
    quality = measures.bitext_mining(found.left, found.right, found.score, pairs)
    manifest = encoder.manifest
    limits = recommended_limits(options, manifest.thresholds, manifest.name, str)
    within = {}
    if options.get("threshold") is None and (threshold := limits.get("threshold")) is not None:
        kept = retrieve(near, **limits | counted)
        within = _figures(kept, set(pairs)) | {"recommended_threshold": threshold}
    run.show(quality, mined=len(found), gold=len(set(pairs)), **within)


def _figures(found: Bitext, gold: set[tuple[int, int]]) -> dict[str, float]:
    """Precision, recall and F1 of all that lightmine bitext would write."""
    right = sum((left, right) in gold for _, left, right in found)
    return {
        "recommended_precision": right / max(len(found), 1),
        "recommended_recall": right / len(gold),
        "recommended_f1": 2 * right / (len(found) + len(gold)),
    }


@evaluate.command()
@click.argument("mined")
@click.argument("gold")
@encoding_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def pairs(mined: str, gold: str, inputs: Inputs, as_json: bool) -> None:
    """Compare MINED pairs with GOLD (id TAB id).

    MINED is id TAB id, with TAB score where there are scores, as BUCC takes results; or what lightmine
    bitext --id-column wrote as TSV. Figures are those of evaluate bucc.

    \b
    Example:
      lightmine evaluate pairs mined.tsv de-en.training.gold
    """  # fmt: skip
    one_stdin(mined, gold)
    of_mined, of_gold = inputs.readings(1, gold=True)
    found, scores = read_mined(mined, of_mined)
    places = [{name: at for at, name in enumerate(dict.fromkeys(side))} for side in zip(*found, strict=True)]
    if not places:
        raise TextError(f"{mined}: holds no pairs")
    # What was not mined has a number too, so that it counts as missed.
    gold_rows = _AnyId(places[0]), _AnyId(places[1])
    true_pairs = read_gold(gold, *gold_rows, reading=of_gold)
    for line in true_pairs.notes():
        note(line, quiet=False)
    true = true_pairs.pairs
    left, right = ([place[pair[side]] for pair in found] for side, place in enumerate(places))
    quality = measures.bitext_mining(left, right, scores, true)
    show(quality, as_json=as_json, mined=len(found), gold=len(set(true)))


@evaluate.command()
@click.argument("file")
@click.argument("gold")
@reading_options
@click.option(
    "--count-from",
    type=click.IntRange(0, 1),
    default=1,
    show_default=True,
    help="Without ids: the number that GOLD gives the first line.",
)
@click.option("--closure", is_flag=True, help="Paraphrases of paraphrases are gold too.")
@top_k_option
@max_pairs_option
@measuring_options  # fmt: skip
def paraphrase(
    file: str,
    gold: str,
    inputs: Inputs,
    count_from: int,
    closure: bool,
    top_k: int,
    max_pairs: int,
    run: Measuring,
) -> None:
    """Mine paraphrases in FILE and compare with GOLD (line number TAB line number, or id TAB id).

    Average precision, and precision, recall and F1 at the threshold with the best F1, as
    ParaphraseMiningEvaluator of sentence-transformers defines them: every line is a sentence of its own.
    Pairs of equal score are taken together.

    \b
    Example:
      lightmine evaluate paraphrase questions.txt duplicates.tsv
    """  # fmt: skip
    one_stdin(file, gold)
    of_file, of_gold = inputs.readings(1, gold=True)
    sentences = _read(file, of_file)
    rows = gold_names(sentences, count_from)
    what = "line number" if sentences.ids is None else "id"
    true = np.array(run.gold(read_gold(gold, rows, rows, what=what, reading=of_gold)))
    vectors = run.encode_all(run.encoder(), sentences.texts, sentences.lines, sentences.name)
    found = mine_paraphrases(vectors, top_k=top_k, max_pairs=max_pairs, **run.engine)
    if len(found) == max_pairs:
        run.note(
            f"--max-pairs {max_pairs:,} was reached: pairs beyond count as missed; raise it to have them"
        )
    true = measures.transitive_closure(true) if closure else true
    quality = measures.paraphrase_mining(found.left, found.right, found.score, true)
    run.show(quality, mined=len(found), gold=len(np.unique(np.sort(true, axis=1), axis=0)))


@evaluate.command()
@click.argument("source")
@click.argument("target")
@reading_options
@measuring_options
def retrieval(source: str, target: str, inputs: Inputs, run: Measuring) -> None:
    """Find each line's translation: line i of SOURCE translates line i of TARGET.

    Accuracy@1 both ways by cosine, as fractions. Among equal cosines the lower line wins.

    \b
    Example:
      lightmine evaluate retrieval tatoeba.deu-eng.deu tatoeba.deu-eng.eng
    """  # fmt: skip
    one_stdin(source, target)
    sides = [_read(*each) for each in zip((source, target), inputs.readings(2), strict=True)]
    for side, other in (sides, sides[::-1]):
        if blank := sorted(set(range(side.total)) - set(side.places())):
            raise TextError(f"{side.name}: line {blank[0] + 1} is blank; every line needs a sentence here")
        if side.total != other.total:
            raise ArgumentError(
                f"{side.name} has {side.total:,} lines and {other.name} {other.total:,}; line i of one "
                "must translate line i of the other"
            )
    encoder = run.encoder()
    accuracy = measures.retrieval_accuracy(
        *(run.encode_all(encoder, side.texts, side.lines, side.name) for side in sides)
    )
    run.show(accuracy, mean=accuracy.mean, sentences=len(sides[0]))


@evaluate.command()
@click.argument("file")
@encoding_options
@measuring_options
def sts(file: str, inputs: Inputs, run: Measuring) -> None:
    """Compare cosines with human scores: FILE has two sentences and a score a row, CSV or TSV.

    Spearman's correlation (tied values share the mean of their ranks) and Pearson's.

    \b
    Example:
      lightmine evaluate sts stsb-en-test.csv
    """  # fmt: skip
    left, right, gold, header = read_scored(file, inputs.readings(1)[0])
    if header:
        run.note(f"{file}: line 1 ({one_line(header)}) is taken for a header")
    encoder = run.encoder()
    x, y = (
        run.encode_all(encoder, texts, range(1, len(texts) + 1), f"{file}: pair") for texts in (left, right)
    )
    cosines = sum_rows(x.astype(np.float64) * y.astype(np.float64))
    correlation = measures.similarity_correlation(cosines, gold)
    run.show(correlation, pairs=len(gold))


class _AnyId(dict[str, int]):
    """Rows by id, and a new row for an id that was never seen."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> int:
        self[name] = len(self)
        return self[name]


def _read(path: str, reading: ReadOptions) -> Sentences:
    sentences = read_sentences(path, reading)
    if not len(sentences):
        raise TextError(f"{sentences.name}: is empty; one sentence a line is needed")
    return sentences


def gold_names(sentences: Sentences, count_from: int) -> dict[str, int]:
    """Rows by what gold calls them: ids, or line numbers where there are none."""
    if sentences.ids is not None:
        return _numbered(sentences)
    return {str(place + count_from): row for row, place in enumerate(sentences.places())}


def _numbered(sentences: Sentences) -> dict[str, int]:
    """Rows by id; an id that is given twice is refused."""
    assert sentences.ids is not None
    rows = {name.strip(): row for row, name in enumerate(sentences.ids)}
    if len(rows) < len(sentences):
        first = {name.strip(): row for row, name in reversed(list(enumerate(sentences.ids)))}
        twice = next(row for row, name in enumerate(sentences.ids) if first[name.strip()] < row)
        raise TextError(
            f"{sentences.name}: line {sentences.lines[twice]}: the id {sentences.ids[twice]!r} is that of "
            f"line {sentences.lines[first[sentences.ids[twice].strip()]]} too"
        )
    return rows
