"""``lightmine evaluate``: the quality of a model, or of mined pairs, on a set with gold."""

from __future__ import annotations

import click

from lightmine.cli._command import LazyGroup

SECTIONS = {"Commands": ("bucc", "pairs", "paraphrase", "retrieval", "sts")}


@click.group(cls=LazyGroup, package="lightmine.cli.evaluate", sections=SECTIONS)
def evaluate() -> None:
    """Measure a model, or mined pairs, against gold.

    \b
    Example:
      lightmine evaluate bucc de-en.de de-en.en de-en.gold
    """
