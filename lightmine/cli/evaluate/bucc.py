"""``lightmine evaluate bucc``."""

from __future__ import annotations

import dataclasses

import click

from lightmine import evaluation as measures
from lightmine.bitext.pairing import Bitext, retrieve
from lightmine.bitext.presets import MarginOptions, margin_spec
from lightmine.cli._command import command, option
from lightmine.cli._evaluation import EvaluationOptions, evaluation_run_options, rows_by_id
from lightmine.cli._inputs import InputOptions, encoding_options, read_nonempty, refuse_two_stdin
from lightmine.cli._margins import evaluation_options, recommended_limits
from lightmine.errors import ArgumentError
from lightmine.io.formats import kind_of
from lightmine.io.gold import read_gold
from lightmine.io.output import open_text
from lightmine.search import neighbors


@command()
@click.argument("source")
@click.argument("target")
@click.argument("gold")
@evaluation_options
@encoding_options
@option(
    "Output",
    "--output",
    "-o",
    metavar="FILE",
    show_default="not written",
    help="Also write the mined pairs: id TAB id TAB margin.",
)
@evaluation_run_options  # fmt: skip
def bucc(
    source: str,
    target: str,
    gold: str,
    options: MarginOptions,
    inputs: InputOptions,
    output: str | None,
    run: EvaluationOptions,
) -> None:
    """Mine translations and compare them with gold (BUCC).

    SOURCE and TARGET have id TAB sentence a line, and GOLD has id TAB id, as the files of BUCC.

    Prints precision, recall and F1 at the threshold with the best F1. The threshold is chosen on the gold, as
    is usual for BUCC: halfway between the last score taken and the next. Pairs of equal score are taken
    together. If the model recommends limits for lightmine bitext, precision, recall and F1 within these
    limits are printed too.

    \b
    Example:
      lightmine evaluate bucc de-en.de de-en.en de-en.gold
    """
    refuse_two_stdin(source, target, gold)
    run.check_outputs(source, target, gold, **{"--output": output})
    if output is not None and kind_of(output).format not in ("txt", "tsv"):
        raise ArgumentError(f"{output}: id TAB id TAB margin is written; name it .tsv")
    *readings, of_gold = inputs.readings(2, gold=True)
    sides = [
        read_nonempty(path, dataclasses.replace(reading, id_column=1))
        for path, reading in zip((source, target), readings, strict=True)
    ]
    rows = [rows_by_id(side) for side in sides]
    pairs = run.gold(read_gold(gold, rows[0], rows[1], reading=of_gold))
    encoder = run.encoder()
    vectors = [run.encode_all(encoder, side.texts, side.lines, side.name) for side in sides]
    spec = margin_spec(**options)
    near = neighbors(*vectors, k=max(spec.k, spec.back), both=True, **run.engine)
    counted: MarginOptions = {"k": spec.k, "k_backward": spec.back}
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
    """Precision, recall and F1 of the pairs that lightmine bitext would write."""
    right = sum((left, right) in gold for _, left, right in found)
    return {
        "recommended_precision": right / max(len(found), 1),
        "recommended_recall": right / len(gold),
        "recommended_f1": 2 * right / (len(found) + len(gold)),
    }
