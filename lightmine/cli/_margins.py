"""Options of margin mining, the limits that a model recommends, and the pairs that are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import click

from lightmine.bitext.margin import MARGINS
from lightmine.bitext.neighbors_file import SavedNeighbors
from lightmine.bitext.pairing import retrieve
from lightmine.bitext.presets import (
    ONE_TO_ONE,
    PRESETS,
    RANKS,
    RETRIEVALS,
    MarginOptions,
    MarginSpec,
    margin_spec,
)
from lightmine.cli._command import Function, number_or_none, option, option_set
from lightmine.cli._outputs import side_by_side
from lightmine.cli._sentences import passing
from lightmine.text.filters import PairFilter

# With fewer sentences on a side, margins are high whether there is a translation or not: a margin compares a
# pair with the sentence's neighbours, and among few sentences no neighbour is near (docs/reports/quality.md).
FEW_SENTENCES = 50


def recommended_limits(
    options: MarginOptions, thresholds: Mapping[str, float], model: str, say: Callable[[str], object]
) -> MarginOptions:
    """The options with the threshold and the lowest cosine that a model recommends; a note names them.

    The recommended threshold is for ratio margins of four neighbours, and is used if no other is asked for.
    The recommended cosine is used if there is a threshold, unless another is asked for. A preset of another
    package (compat) has limits of its own.
    """
    if options.get("compat") or options.get("threshold") == -math.inf:
        return options
    spec, found = margin_spec(**options), []
    new = dict(options)
    margin, cosine = thresholds.get("bitext"), thresholds.get("bitext_cosine")
    if options.get("threshold") is None and margin is not None and _comparable(spec):
        new["threshold"] = margin
        found.append(f"threshold {margin:g}")
    if options.get("min_cosine") is None and cosine is not None and new.get("threshold") is not None:
        new["min_cosine"] = cosine
        found.append(f"least cosine {cosine:g}")
    if found:
        say(f"{' and '.join(found)}, which {model} recommends; --threshold none for all")
    return cast(MarginOptions, new)


def _comparable(spec: MarginSpec) -> bool:
    """Whether margins are of the kind that models recommend a threshold for."""
    return spec.k == spec.back == 4 and spec.margin == "ratio"


def mined_columns(
    saved: SavedNeighbors, options: MarginOptions, pair_filter: PairFilter, say: Callable[[str], None]
) -> dict[str, Any]:
    """What is written of neighbours: the pairs within the options and what the model recommends."""
    if not options.get("compat") and options.get("k") is None:
        back = options.get("k_backward") or saved.k_backward
        options = options | {"k": saved.k, "k_backward": back}
    options = recommended_limits(options, saved.recommended, saved.model, say)
    found = retrieve(saved.near, **options)
    _note_few({"the source": len(saved.source), "the target": len(saved.target)}, say)
    if not len(found):
        _note_best(saved, options, say)
    pairs = found[passing(pair_filter, saved.source, saved.target, (found.left, found.right), say)]
    return {"margin": pairs.score, "cosine": pairs.cosine} | side_by_side(
        ("source", saved.source, pairs.left), ("target", saved.target, pairs.right)
    )


def _note_few(sizes: Mapping[str, int], say: Callable[[str], None]) -> None:
    """Warn if a side has so few sentences that margins mean little."""
    name, fewest = min(sizes.items(), key=lambda item: item[1])
    if fewest < FEW_SENTENCES:
        say(
            f"{name} has {fewest} sentences: among so few, margins are high with and without a translation; "
            "compare cosines, or set --min-cosine"
        )


def _note_best(saved: SavedNeighbors, options: MarginOptions, say: Callable[[str], None]) -> None:
    """If no pair is within the limits, report the best one."""
    spec = margin_spec(**options)
    best = retrieve(saved.near, k=spec.k, k_backward=spec.back, margin=spec.margin, retrieval=spec.retrieval)[
        :1
    ]
    for margin, cosine in zip(best.score, best.cosine, strict=True):
        say(f"no pair is within the limits; the best has a margin of {margin:.4f}, a cosine of {cosine:.4f}")


def _margin_options(**options: Any) -> MarginOptions:
    """The options, checked before any work."""
    margin_spec(**options)
    return cast(MarginOptions, options)


_retrieval_options = (
    option("Mining", "--compat", type=click.Choice(PRESETS), show_default="lightmine",
           help="Mine as this package does by default. Options that you give replace its own."),
    option("Mining", "-k", "--k", "k", type=click.IntRange(1), metavar="N", show_default="4; for lightmine "
    "margin the saved number",
           help="Number of neighbours of each source sentence: they are its candidates, and its margins are "
           "relative to them."),
    option("Mining", "--k-backward", type=click.IntRange(1), metavar="N", show_default="as -k",
           help="Number of neighbours of each target sentence."),
    option("Mining", "--margin", type=click.Choice(MARGINS), show_default="ratio",
           help="How the cosine of a pair is compared with the mean cosine of its neighbours: ratio, "
           "difference (distance), or not at all (absolute)."),
    option("Mining", "--retrieval", type=click.Choice(RETRIEVALS), show_default="max",
           help="forward: the best candidate of each source sentence. backward: of each target sentence. "
           "intersect: pairs that are in both lists. max: both lists, each sentence used once."),
    option("Mining", "--rank", type=click.Choice(RANKS), show_default="margin",
           help="Which candidate of a sentence is the best."),
    option("Mining", "--n-best", type=click.IntRange(1), metavar="N", show_default="1",
           help="Number of candidates that each sentence proposes."),
    option("Mining", "--one-to-one", type=click.Choice(ONE_TO_ONE), show_default="auto",
           help="Use each sentence in one pair at most: from the best pair down (greedy), or with the "
           "largest sum of margins (optimal, needs scipy). auto: greedy for --retrieval max, none for the "
           "others."),
    option("Mining", "--min-cosine", type=number_or_none, metavar="COSINE|none",
           show_default="what the model recommends; none with --threshold none",
           help="Keep pairs whose cosine is at least this."),
)  # fmt: skip


def _limits(default: str) -> tuple[Callable[[Function], Function], ...]:
    """Options of the lowest and highest margins; `default` describes the command's default threshold."""
    return (
        option("Mining", "--threshold", type=number_or_none, metavar="MARGIN|none", show_default=default,
               help="Keep pairs whose margin is at least this."),
        option("Mining", "--max-score", type=float, metavar="MARGIN", show_default="no limit",
               help="Keep pairs whose margin is at most this."),
    )  # fmt: skip


RECOMMENDED = "for ratio margins of 4 neighbours what the model recommends, otherwise none"
margin_options = option_set("options", _margin_options, *_retrieval_options, *_limits(RECOMMENDED))
# For evaluation, which looks at all margins and finds the best threshold.
evaluation_options = option_set("options", _margin_options, *_retrieval_options, *_limits("none"))
# For calibration, which finds the threshold.
calibration_options = option_set("options", _margin_options, *_retrieval_options)
