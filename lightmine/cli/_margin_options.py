"""Options of margin mining, and the limits that a model recommends for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import click

from lightmine.bitext.margin import MARGINS
from lightmine.bitext.presets import (
    COMPAT,
    ONE_TO_ONE,
    RANKS,
    RETRIEVALS,
    MarginOptions,
    MarginRule,
    margin_rule,
)
from lightmine.cli._options import Command
from lightmine.cli._run import folded, number_or_none

# Under so many sentences on a side margins run high, whether a translation is there or not: a margin compares
# a pair with its neighbours, and among few there is none that is near (docs/reports/quality.md).
FEW_SENTENCES = 50


def recommended_limits(
    options: MarginOptions, thresholds: Mapping[str, float], model: str, say: Callable[[str], object]
) -> MarginOptions:
    """The options with the threshold and the least cosine that a model recommends; they are said.

    The threshold is for ratio margins of four neighbours, and is taken where none is asked for. The least
    cosine is taken where there is a threshold, unless another is asked for. A peer's ways (compat) have
    limits of their own.
    """
    if options.get("compat") or options.get("threshold") == -math.inf:
        return options
    rule, found = margin_rule(**options), []
    new = dict(options)
    margin, cosine = thresholds.get("bitext"), thresholds.get("bitext_cosine")
    if options.get("threshold") is None and margin is not None and _comparable(rule):
        new["threshold"] = margin
        found.append(f"threshold {margin:g}")
    if options.get("min_cosine") is None and cosine is not None and new.get("threshold") is not None:
        new["min_cosine"] = cosine
        found.append(f"least cosine {cosine:g}")
    if found:
        say(f"{' and '.join(found)}, which {model} recommends; --threshold none for all")
    return cast(MarginOptions, new)


def _comparable(rule: MarginRule) -> bool:
    """Whether margins are of the kind that models recommend a threshold for."""
    return rule.k == rule.back == 4 and rule.margin == "ratio"


def _margin_options(**options: Any) -> MarginOptions:
    """What was asked for, checked before any work."""
    margin_rule(**options)
    return cast(MarginOptions, options)


_retrieval_options = (
    click.option("--compat", type=click.Choice(tuple(COMPAT)),
                 help="Mine as a peer does by default; options given beside it replace its own."),
    click.option("-k", "--k", "k", type=click.IntRange(1), metavar="N",
                 help="Neighbours of each source sentence: its candidates, and what a margin compares with.  "
                 "[default: 4]"),
    click.option("--k-backward", type=click.IntRange(1), metavar="N",
                 help="Neighbours of each target sentence.  [default: as many]"),
    click.option("--margin", type=click.Choice(MARGINS),
                 help="What a pair's cosine is to its neighbours' mean cosine.  [default: ratio]"),
    click.option("--retrieval", type=click.Choice(RETRIEVALS),
                 help="forward or backward: each sentence's best; intersect: both agree; max: either, one to "
                 "one.  [default: max]"),
    click.option("--rank", type=click.Choice(RANKS),
                 help="What makes a candidate the best.  [default: margin]"),
    click.option("--n-best", type=click.IntRange(1), metavar="N",
                 help="Candidates that each sentence proposes.  [default: 1]"),
    click.option("--one-to-one", type=click.Choice(ONE_TO_ONE),
                 help="Each sentence in one pair at most: from the best down, or for the largest sum of "
                 "margins (needs scipy). auto: greedy for max.  [default: auto]"),
    click.option("--min-cosine", type=number_or_none, metavar="COSINE|none",
                 help="Only pairs whose cosine is at least this.  [default: what the model recommends, "
                 "unless --threshold is none]"),
)  # fmt: skip


def _limits(default: str) -> tuple[Callable[[Command], Command], ...]:
    """Options of least and largest margins; `default` says what the command takes for the first."""
    return (
        click.option("--threshold", type=number_or_none, metavar="MARGIN|none",
                     help=f"Only pairs whose margin is at least this.  [default: {default}]"),
        click.option("--max-score", type=float, help="Only pairs whose margin is at most this."),
    )  # fmt: skip


RECOMMENDED = "for ratio margins of 4 neighbours what the model recommends, if it does; else none"
margin_options = folded("options", _margin_options, *_retrieval_options, *_limits(RECOMMENDED))
# Where every margin is looked at, and the best threshold is found.
evaluation_options = folded("options", _margin_options, *_retrieval_options, *_limits("none"))
# Where the threshold is what is looked for.
calibration_options = folded("options", _margin_options, *_retrieval_options)


def note_few(sizes: Mapping[str, int], say: Callable[[str], None]) -> None:
    """Say where a side has so few sentences that its margins tell little."""
    name, fewest = min(sizes.items(), key=lambda item: item[1])
    if fewest < FEW_SENTENCES:
        say(
            f"{name} has {fewest} sentences: among so few, margins are high with and without a translation; "
            "compare cosines, or set --min-cosine"
        )
