"""``lightmine evaluate pairs``."""

from __future__ import annotations

import click

from lightmine import evaluation as measures
from lightmine.cli._command import command
from lightmine.cli._evaluation import show
from lightmine.cli._inputs import InputOptions, encoding_options, refuse_two_stdin
from lightmine.cli._notes import note
from lightmine.cli._options import json_option
from lightmine.errors import TextError
from lightmine.io.gold import read_gold, read_mined


@command()
@click.argument("mined")
@click.argument("gold")
@encoding_options
@json_option
def pairs(mined: str, gold: str, inputs: InputOptions, as_json: bool) -> None:
    """Compare a file of mined pairs with gold.

    MINED has id TAB id a line, or id TAB id TAB score, as BUCC takes results, or is a TSV file that lightmine
    bitext --id-column wrote. GOLD has id TAB id a line. The figures are those of evaluate bucc.

    \b
    Example:
      lightmine evaluate pairs mined.tsv de-en.training.gold
    """
    refuse_two_stdin(mined, gold)
    of_mined, of_gold = inputs.readings(1, gold=True)
    found, scores = read_mined(mined, of_mined)
    places = [{name: at for at, name in enumerate(dict.fromkeys(side))} for side in zip(*found, strict=True)]
    if not places:
        raise TextError(f"{mined}: holds no pairs")
    # Sentences that were not mined get a row too, so that their gold pairs count as missed.
    gold_rows = _NewRows(places[0]), _NewRows(places[1])
    true_pairs = read_gold(gold, *gold_rows, reading=of_gold)
    for line in true_pairs.notes():
        note(line, quiet=False)
    true = true_pairs.pairs
    left, right = ([place[pair[side]] for pair in found] for side, place in enumerate(places))
    quality = measures.bitext_mining(left, right, scores, true)
    show(quality, as_json=as_json, mined=len(found), gold=len(set(true)))


class _NewRows(dict[str, int]):
    """Rows by id; an unknown id gets a new row."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> int:
        self[name] = len(self)
        return self[name]
