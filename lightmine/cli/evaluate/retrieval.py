"""``lightmine evaluate retrieval``."""

from __future__ import annotations

import click

from lightmine import evaluation as measures
from lightmine.cli._command import command
from lightmine.cli._evaluation import EvaluationOptions, evaluation_run_options
from lightmine.cli._inputs import InputOptions, read_nonempty, reading_options, refuse_two_stdin
from lightmine.errors import ArgumentError, TextError


@command()
@click.argument("source")
@click.argument("target")
@reading_options
@evaluation_run_options
def retrieval(source: str, target: str, inputs: InputOptions, run: EvaluationOptions) -> None:
    """Measure how often the nearest line is the translation.

    Line i of SOURCE translates line i of TARGET. Prints accuracy@1 by cosine in both directions, as
    fractions. Among equal cosines the lower line wins.

    \b
    Example:
      lightmine evaluate retrieval tatoeba.deu-eng.deu tatoeba.deu-eng.eng
    """
    refuse_two_stdin(source, target)
    sides = [read_nonempty(*each) for each in zip((source, target), inputs.readings(2), strict=True)]
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
