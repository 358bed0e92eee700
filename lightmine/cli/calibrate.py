"""``lightmine calibrate``: which threshold?"""

from __future__ import annotations

import dataclasses

import click
import numpy as np
from numpy.typing import NDArray

from lightmine.bitext.pairing import retrieve
from lightmine.bitext.presets import MarginOptions, margin_spec
from lightmine.calibration.threshold import Curve, choose, curve_of
from lightmine.calibration.unlabelled import (
    MORE_NEIGHBORS,
    PAIRS_A_SENTENCE,
    bitext_truth,
    check_enough,
    paraphrase_truth,
)
from lightmine.cli._command import CommandGroup, option, option_set
from lightmine.cli._evaluation import EvaluationOptions, evaluation_run_options, rows_by_gold_name
from lightmine.cli._inputs import InputOptions, read_nonempty, reading_options, refuse_two_stdin
from lightmine.cli._margins import calibration_options, recommended_limits
from lightmine.cli._options import count_from_option, max_pairs_option, top_k_option
from lightmine.cli._outputs import check_outputs, output_format
from lightmine.cli._plot import check_plot, plot_curve
from lightmine.errors import ArgumentError
from lightmine.io.formats import ReadOptions
from lightmine.io.gold import read_gold
from lightmine.io.output import open_text
from lightmine.io.pair_writer import write_pairs
from lightmine.io.sentences import Sentences
from lightmine.paraphrase import mine_paraphrases
from lightmine.search import neighbors
from lightmine.text.unique import unique_texts

# Largest number of rows in a table or picture of a curve.
CURVE_ROWS = 1000
# Precision that is asked for by default if there is no gold.
PRECISION = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """The gold, the precision that is asked for, and the files for the curve."""

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
        """The sentences of a file. Without gold each text counts once, as in mining."""
        sentences = read_nonempty(path, reading)
        if self.gold is not None:
            return sentences
        texts = unique_texts(sentences)
        return Sentences(sentences.name, texts.texts, [lines[0] for lines in texts.lines], sentences.total)

    def show(self, curve: Curve, run: EvaluationOptions, *, title: str) -> None:
        """Choose the threshold, write the curve, and print the threshold."""
        if self.curve is not None:
            thin = curve.thinned(CURVE_ROWS)
            names = [field.name for field in dataclasses.fields(Curve) if field.name != "estimated"]
            with open_text(self.curve) as stream:
                columns = {name: getattr(thin, name).tolist() for name in names}
                write_pairs(stream, columns, format=output_format(self.curve, None))
            run.note(f"{len(thin):,} of {len(curve):,} thresholds to {self.curve}")
        precision = PRECISION if self.precision is None and curve.estimated else self.precision
        chosen = choose(curve, precision=precision)
        if self.plot is not None:
            plot_curve(self.plot, curve.thinned(CURVE_ROWS), chosen, title=title)
            run.note(f"the curve to {self.plot}")
        if curve.estimated:
            run.note(
                "estimated without gold (docs/guides/calibration.md says how exact that is); read some pairs"
            )
        run.show(chosen)


calibration_file_options = option_set(
    "calibration", CalibrationOptions,
    option("Gold", "--gold", metavar="FILE", show_default="an estimate without gold",
           help="True pairs: line number TAB line number, or id TAB id."),
    count_from_option,
    option("Calibration", "--precision", type=float, metavar="P",
           show_default="with gold the threshold of the best F1; without gold 0.9",
           help="Choose the lowest threshold with this precision, over 0 and at most 1."),
    option("Output", "--curve", metavar="FILE", show_default="not written",
           help="Also write precision, recall and F1 of each threshold: .tsv or .jsonl."),
    option("Output", "--plot", metavar="FILE", show_default="not written",
           help="Also draw them: .png or .svg (needs matplotlib)."),
)  # fmt: skip


@click.group(cls=CommandGroup)
def calibrate() -> None:
    """Choose a threshold, with gold or without.

    With gold the precision of each threshold is counted. Without gold it is estimated from the scores.

    \b
    Example:
      lightmine calibrate bitext english.txt german.txt --precision 0.95
    """


@calibrate.command()
@click.argument("source")
@click.argument("target")
@calibration_options
@reading_options
@calibration_file_options
@evaluation_run_options
def bitext(
    source: str,
    target: str,
    options: MarginOptions,
    inputs: InputOptions,
    calibration: CalibrationOptions,
    run: EvaluationOptions,
) -> None:
    """Choose a margin threshold for lightmine bitext.

    It is for the same options, and for the lowest cosine that lightmine bitext uses.

    Without gold, each sentence is mined again with its partner removed. The pairs that are found then are
    false, and show how sentences without a translation score. At least 200 sentences a side are needed.

    \b
    Example:
      lightmine calibrate bitext english.txt german.txt --plot curve.png
    """
    refuse_two_stdin(source, target)
    spec = margin_spec(**options)
    calibration.check_outputs(source, target)
    readings = inputs.readings(2, gold=calibration.gold is not None)
    sides = [
        calibration.read(path, reading) for path, reading in zip((source, target), readings, strict=False)
    ]
    true_pairs = _gold(calibration, sides[0], sides[1], readings[-1], run)
    if true_pairs is None:
        check_enough(min(len(sides[0]), len(sides[1])))
    encoder = run.encoder()
    vectors = [run.encode_all(encoder, side.texts, side.lines, side.name) for side in sides]
    near = neighbors(*vectors, k=max(spec.k, spec.back) + MORE_NEIGHBORS, both=True, **run.engine)
    # lightmine bitext uses a recommended lowest cosine with any threshold, so a threshold is named here.
    limits = recommended_limits(options | {"threshold": 0.0}, encoder.manifest.thresholds, "the model", str)
    least = margin_spec(**limits).min_cosine
    if true_pairs is None:
        found, truth = bitext_truth(near, spec)
        if least is not None:
            truth, found = truth[found.cosine >= least], found[found.cosine >= least]
        curve = curve_of(found.score, truth)
    else:
        everything = options | {"k": spec.k, "k_backward": spec.back, "threshold": -1e300, "max_score": 1e300}
        found = retrieve(near, **everything | {"min_cosine": least})
        curve = _judged(found.left, found.right, found.score, true_pairs)
    calibration.show(curve, run, title=f"{source} and {target}, margin")


@calibrate.command()
@click.argument("file")
@reading_options
@calibration_file_options
@top_k_option
@max_pairs_option
@evaluation_run_options
def paraphrase(
    file: str,
    inputs: InputOptions,
    calibration: CalibrationOptions,
    top_k: int,
    max_pairs: int,
    run: EvaluationOptions,
) -> None:
    """Choose a cosine threshold for lightmine paraphrase.

    Without gold, an exponential tail of unrelated pairs is fitted to the scores of the best two pairs a
    sentence. Pairs above this tail are counted as true. At least 200 sentences are needed.

    \b
    Example:
      lightmine calibrate paraphrase questions.txt --curve curve.tsv
    """
    calibration.check_outputs(file)
    readings = inputs.readings(1, gold=calibration.gold is not None)
    sentences = calibration.read(file, readings[0])
    true_pairs = _gold(calibration, sentences, sentences, readings[-1], run)
    if true_pairs is None:
        check_enough(len(sentences))
        max_pairs = PAIRS_A_SENTENCE * len(sentences)
    vectors = run.encode_all(run.encoder(), sentences.texts, sentences.lines, sentences.name)
    found = mine_paraphrases(vectors, top_k=top_k, max_pairs=max_pairs, **run.engine)
    if true_pairs is None:
        curve = curve_of(found.score, paraphrase_truth(found.score, len(sentences)))
    else:
        pairs = {(min(pair), max(pair)) for pair in true_pairs}
        curve = _judged(found.left, found.right, found.score, pairs)
    calibration.show(curve, run, title=f"{file}, cosine")


def _gold(
    calibration: CalibrationOptions,
    left: Sentences,
    right: Sentences,
    reading: ReadOptions,
    run: EvaluationOptions,
) -> set[tuple[int, int]] | None:
    """The gold pairs as rows; None without gold."""
    if calibration.gold is None:
        return None
    names = rows_by_gold_name(left, calibration.count_from), rows_by_gold_name(right, calibration.count_from)
    what = "line number" if left.ids is None else "id"
    gold = read_gold(calibration.gold, *names, what=what, reading=reading)
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
