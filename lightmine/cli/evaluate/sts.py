"""``lightmine evaluate sts``."""

from __future__ import annotations

import click
import numpy as np

from lightmine import evaluation as measures
from lightmine.cli._command import command
from lightmine.cli._evaluation import EvaluationOptions, evaluation_run_options
from lightmine.cli._inputs import InputOptions, encoding_options
from lightmine.errors import one_line
from lightmine.io.gold import read_scored
from lightmine.summation import sum_rows


@command()
@click.argument("file")
@encoding_options
@evaluation_run_options
def sts(file: str, inputs: InputOptions, run: EvaluationOptions) -> None:
    """Compare cosines with human scores (STS).

    FILE has two sentences and a score a row, as CSV or TSV. Prints Spearman's correlation (tied values share
    the mean of their ranks) and Pearson's.

    \b
    Example:
      lightmine evaluate sts stsb-en-test.csv
    """
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
