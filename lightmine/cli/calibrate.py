"""``lightmine calibrate``: which threshold?"""

from __future__ import annotations

import dataclasses

import click
import numpy as np
from numpy.typing import NDArray

from lightmine.bitext.pairing import retrieve
from lightmine.bitext.presets import MarginOptions, margin_rule
from lightmine.calibration.threshold import Curve, choose, curve_of
from lightmine.calibration.unlabelled import (
    MORE_NEIGHBORS,
    PAIRS_A_SENTENCE,
    bitext_truth,
    enough,
    paraphrase_truth,
)
from lightmine.cli._inputs import Inputs, reading_options
from lightmine.cli._margin_options import calibration_options, recommended_limits
from lightmine.cli._options import one_stdin, output_format, top_k_option
from lightmine.cli._paths import check_outputs
from lightmine.cli._plot import check_plot, plot_curve
from lightmine.cli._run import folded
from lightmine.cli.evaluate import Measuring, gold_names, measuring_options
from lightmine.errors import ArgumentError, TextError
from lightmine.io.formats import ReadOptions
from lightmine.io.gold import read_gold
from lightmine.io.output import open_text
from lightmine.io.pair_writer import write_pairs
from lightmine.io.sentences import Sentences, read_sentences
from lightmine.paraphrase import mine_paraphrases
from lightmine.search import neighbors
from lightmine.text.unique import unique_texts

# Rows of a curve's table: more tell nobody more.
ROWS = 1000
WANTED = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the threshold is to give, on which gold, and where the curve goes."""

    gold: str | None
    count_from: int
    precision: float | None
    curve: str | None
    plot: str | None

    def __post_init__(self) -> None:
        if self.precision is not None and not 0 < self.precision <= 1:
            raise ArgumentError(f"--precision is over 0 and at most 1, not {self.precision}")
        if self.curve is not None:
            output_format(self.curve, None)
        check_plot(self.plot)

    def check_outputs(self, *inputs: str) -> None:
        """Refuse a curve or a picture over another file of the command."""
        check_outputs([*inputs, self.gold], {"--curve": self.curve, "--plot": self.plot})

    def read(self, path: str, reading: ReadOptions) -> Sentences:
        """Sentences of a file. Without gold each text counts once, as it does when it is mined."""
        sentences = read_sentences(path, reading)
        if not len(sentences):
            raise TextError(f"{sentences.name}: is empty; one sentence a line is needed")
        if self.gold is not None:
            return sentences
        texts = unique_texts(sentences)
        return Sentences(sentences.name, texts.texts, [lines[0] for lines in texts.lines], sentences.total)

    def show(self, curve: Curve, run: Measuring, *, title: str) -> None:
        """Choose, write what was asked for, and print the threshold."""
        if self.curve is not None:
            thin = curve.thinned(ROWS)
            names = [field.name for field in dataclasses.fields(Curve) if field.name != "estimated"]
            with open_text(self.curve) as stream:
                columns = {name: getattr(thin, name).tolist() for name in names}
                write_pairs(stream, columns, format=output_format(self.curve, None))
            run.note(f"{len(thin):,} of {len(curve):,} thresholds to {self.curve}")
        precision = WANTED if self.precision is None and curve.estimated else self.precision
        chosen = choose(curve, precision=precision)
        if self.plot is not None:
            plot_curve(self.plot, curve.thinned(ROWS), chosen, title=title)
            run.note(f"the curve to {self.plot}")
        if curve.estimated:
            run.note(
                "estimated without gold (docs/guides/calibration.md says how exact that is); read some pairs"
            )
        run.show(chosen)


wanted_options = folded(
    "wanted", Wanted,
    click.option("--gold", metavar="FILE",
                 help="True pairs, line number TAB line number, or id TAB id; without it, an estimate."),
    click.option("--count-from", type=click.IntRange(0, 1), default=1, show_default=True,
                 help="Without ids: the number that the gold gives the first line."),
    click.option("--precision", type=float, metavar="P",
                 help="The lowest threshold with this precision.  [default: with gold the threshold of the "
                 "best F1, without it 0.9]"),
    click.option("--curve", metavar="FILE", help="Write what each threshold gives: .tsv or .jsonl."),
    click.option("--plot", metavar="FILE", help="Draw it: .png or .svg (needs matplotlib)."),
)  # fmt: skip


@click.group()
def calibrate() -> None:
    """Choose a threshold: on gold pairs, or without gold by estimating which mined pairs are true.

    \b
    Example:
      lightmine calibrate bitext english.txt german.txt --precision 0.95
    """  # fmt: skip


@calibrate.command()
@click.argument("source")
@click.argument("target")
@calibration_options
@reading_options
@wanted_options
@measuring_options
def bitext(
    source: str, target: str, options: MarginOptions, inputs: Inputs, wanted: Wanted, run: Measuring
) -> None:
    """A margin threshold for lightmine bitext with the same options; the least cosine is as there.

    Without gold: each sentence's partner is struck out and the sentence mined again. What it finds then is
    false, and tells how sentences without a translation score. It needs 200 sentences a side at least.

    \b
    Example:
      lightmine calibrate bitext english.txt german.txt --precision 0.95 --plot curve.png
    """  # fmt: skip
    one_stdin(source, target)
    rule = margin_rule(**options)
    wanted.check_outputs(source, target)
    readings = inputs.readings(2, gold=wanted.gold is not None)
    sides = [wanted.read(path, reading) for path, reading in zip((source, target), readings, strict=False)]
    true_pairs = _gold(wanted, sides[0], sides[1], readings[-1], run)
    if true_pairs is None:
        enough(min(len(sides[0]), len(sides[1])))
    encoder = run.encoder()
    vectors = [run.encode_all(encoder, side.texts, side.lines, side.name) for side in sides]
    near = neighbors(*vectors, k=max(rule.k, rule.back) + MORE_NEIGHBORS, both=True, **run.engine)
    # The least cosine of lightmine bitext: its default stands beside any threshold, so one is named here.
    limits = recommended_limits(options | {"threshold": 0.0}, encoder.manifest.thresholds, "the model", str)
    least = margin_rule(**limits).min_cosine
    if true_pairs is None:
        found, truth = bitext_truth(near, rule)
        if least is not None:
            truth, found = truth[found.cosine >= least], found[found.cosine >= least]
        curve = curve_of(found.score, truth)
    else:
        everything = options | {"k": rule.k, "k_backward": rule.back, "threshold": -1e300, "max_score": 1e300}
        found = retrieve(near, **everything | {"min_cosine": least})
        curve = _judged(found.left, found.right, found.score, true_pairs)
    wanted.show(curve, run, title=f"{source} and {target}, margin")


@calibrate.command()
@click.argument("file")
@reading_options
@wanted_options
@top_k_option
@click.option(
    "--max-pairs",
    type=click.IntRange(1),
    default=500_000,
    show_default=True,
    help="With gold: pairs that are kept at most, the best first.",
)
@measuring_options  # fmt: skip
def paraphrase(file: str, inputs: Inputs, wanted: Wanted, top_k: int, max_pairs: int, run: Measuring) -> None:
    """A cosine threshold for lightmine paraphrase.

    Without gold: of the best two pairs a sentence, those that are more than an exponential tail of unrelated
    pairs would have are taken for true. It needs 200 sentences at least.

    \b
    Example:
      lightmine calibrate paraphrase questions.txt --precision 0.9 --curve curve.tsv
    """  # fmt: skip
    wanted.check_outputs(file)
    readings = inputs.readings(1, gold=wanted.gold is not None)
    sentences = wanted.read(file, readings[0])
    true_pairs = _gold(wanted, sentences, sentences, readings[-1], run)
    if true_pairs is None:
        enough(len(sentences))
        max_pairs = PAIRS_A_SENTENCE * len(sentences)
    vectors = run.encode_all(run.encoder(), sentences.texts, sentences.lines, sentences.name)
    found = mine_paraphrases(vectors, top_k=top_k, max_pairs=max_pairs, **run.engine)
    if true_pairs is None:
        curve = curve_of(found.score, paraphrase_truth(found.score, len(sentences)))
    else:
        pairs = {(min(pair), max(pair)) for pair in true_pairs}
        curve = _judged(found.left, found.right, found.score, pairs)
    wanted.show(curve, run, title=f"{file}, cosine")


def _gold(
    wanted: Wanted, left: Sentences, right: Sentences, reading: ReadOptions, run: Measuring
) -> set[tuple[int, int]] | None:
    """The gold pairs as rows, where there is gold."""
    if wanted.gold is None:
        return None
    names = gold_names(left, wanted.count_from), gold_names(right, wanted.count_from)
    what = "line number" if left.ids is None else "id"
    gold = read_gold(wanted.gold, *names, what=what, reading=reading)
    for line in gold.notes():
        run.note(line)
    return set(gold.pairs)


def _judged(
    left: NDArray[np.integer],
    right: NDArray[np.integer],
    score: NDArray[np.float32],
    true: set[tuple[int, int]],
) -> Curve:
    judgements = [float(pair in true) for pair in zip(left.tolist(), right.tolist(), strict=True)]
    return curve_of(score, judgements, gold=len(true))
