"""How margin mining makes pairs of neighbours: the options, and the presets of other packages."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_choice, check_cosine, check_count, check_threshold
from lightmine.bitext.margin import MARGINS, SMALLEST_AVERAGE, Margin
from lightmine.errors import ArgumentError

Retrieval = Literal["forward", "backward", "intersect", "max"]
Rank = Literal["margin", "cosine"]
OneToOne = Literal["auto", "none", "greedy", "optimal"]
Preset = Literal["lightmine", "laser", "stopes", "sentence-transformers"]
RETRIEVALS: tuple[Retrieval, ...] = get_args(Retrieval)
RANKS: tuple[Rank, ...] = get_args(Rank)
ONE_TO_ONE: tuple[OneToOne, ...] = get_args(OneToOne)
PRESETS: tuple[Preset, ...] = get_args(Preset)


class MarginOptions(TypedDict, total=False):
    """Options of margin mining; None, or no value, is the preset's value. See `MarginSpec`."""

    compat: Preset | None
    k: int | None
    k_backward: int | None
    margin: Margin | None
    retrieval: Retrieval | None
    rank: Rank | None
    n_best: int | None
    one_to_one: OneToOne | None
    threshold: float | None
    max_score: float | None
    min_cosine: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarginSpec:
    """Which pairs are made of the neighbours of both directions.

    Attributes
    ----------
    k, k_backward : int
        Number of neighbours of each source sentence, and of each target sentence (None: the same). They are
        the sentence's candidates, and a pair is compared with their mean cosine.
    margin : {"ratio", "distance", "absolute"}
    retrieval : {"forward", "backward", "intersect", "max"}
        Whose candidates become pairs: each source sentence's best, each target sentence's best, the pairs
        that both sides propose, the pairs that either side proposes.
    rank : {"margin", "cosine"}
        Which candidate is the best. Equal margins: the nearer, then the lower index.
    n_best : int
        Number of candidates that each sentence proposes.
    one_to_one : {"auto", "none", "greedy", "optimal"}
        Whether each sentence is used once. greedy: from the best pair down. optimal: the pairs with the
        largest sum of margins (those of zero and less are left out); needs scipy. auto: greedy for the
        retrieval max, none for the others.
    threshold, max_score : float or None
        Only pairs whose margin is at least, and at most, this. The threshold is applied before sentences are
        used once. `max_score` is applied to the answer: a pair over it is removed, and its sentences get no
        other pair.
    min_cosine : float or None
        Only pairs whose cosine is at least this; applied together with the threshold. A pair far from all its
        neighbours can have a high margin without being a translation.
    strict, acts_in, cosine_scale, smallest_average, retrievals
        For the presets of other packages, see docs/guides/bitext.md: whether a margin must be over the
        threshold; the retrievals that have a threshold, and those that the package has; the factor of cosines
        and means; the average under which a ratio is divided by that instead (None: never).
    """

    k: int = 4
    k_backward: int | None = None
    margin: Margin = "ratio"
    retrieval: Retrieval = "max"
    rank: Rank = "margin"
    n_best: int = 1
    one_to_one: OneToOne = "auto"
    threshold: float | None = None
    max_score: float | None = None
    min_cosine: float | None = None
    strict: bool = False
    acts_in: tuple[Retrieval, ...] = RETRIEVALS
    cosine_scale: float = 1.0
    smallest_average: float | None = SMALLEST_AVERAGE
    retrievals: tuple[Retrieval, ...] = RETRIEVALS

    def __post_init__(self) -> None:
        check_count("k", self.k, optional=False)
        check_count("k_backward", self.k_backward)
        check_count("n_best", self.n_best, optional=False)
        check_choice("margin", self.margin, MARGINS)
        check_choice("retrieval", self.retrieval, RETRIEVALS)
        check_choice("rank", self.rank, RANKS)
        check_choice("one_to_one", self.one_to_one, ONE_TO_ONE)
        check_threshold(self.threshold)
        check_threshold(self.max_score, name="max_score")
        check_cosine(self.min_cosine, name="min_cosine")

    @property
    def back(self) -> int:
        """Neighbours of each target sentence."""
        return self.k if self.k_backward is None else self.k_backward

    @property
    def matching(self) -> OneToOne:
        """How sentences are kept to one pair each: none, greedy or optimal."""
        if self.one_to_one != "auto":
            return self.one_to_one
        return "greedy" if self.retrieval == "max" else "none"

    @property
    def limit(self) -> float:
        """The lower limit of margins; minus infinity if there is none."""
        acts = self.threshold is not None and self.retrieval in self.acts_in
        return float(min(self.threshold, 1e300)) if acts and self.threshold is not None else -math.inf

    def admits(self, scores: NDArray[np.float32], cosines: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which pairs reach the threshold and the lowest cosine.

        They are compared in float64, because a limit that is rounded to float32 can admit other pairs.
        """
        wide = scores.astype(np.float64)
        over = np.greater(wide, self.limit) if self.strict else np.greater_equal(wide, self.limit)
        if self.min_cosine is not None:
            over &= cosines.astype(np.float64) >= self.min_cosine
        return over


# How other packages mine by default; docs/guides/bitext.md has the same as a table, with sources.
PRESET_SPECS: dict[Preset, MarginSpec] = {
    "lightmine": MarginSpec(),
    "laser": MarginSpec(threshold=0.0, strict=True, acts_in=("max",), smallest_average=None),
    "stopes": MarginSpec(
        k=16, rank="cosine", one_to_one="none", threshold=1.06, max_score=1.25, cosine_scale=2.0,
        smallest_average=None, retrievals=("forward", "backward", "max"),
    ),
    "sentence-transformers": MarginSpec(threshold=1.0, smallest_average=None, retrievals=("max",)),
}  # fmt: skip


def margin_spec(
    *,
    compat: Preset | None = None,
    k: int | None = None,
    k_backward: int | None = None,
    margin: Margin | None = None,
    retrieval: Retrieval | None = None,
    rank: Rank | None = None,
    n_best: int | None = None,
    one_to_one: OneToOne | None = None,
    threshold: float | None = None,
    max_score: float | None = None,
    min_cosine: float | None = None,
) -> MarginSpec:
    """The specification of a preset, with the given options in place of its own.

    Raises
    ------
    ArgumentError
        An option is out of range, or the preset has no such retrieval.

    Examples
    --------
    >>> spec = margin_spec(compat="stopes", threshold=1.2)
    >>> spec.k, spec.rank, spec.threshold, spec.max_score
    (16, 'cosine', 1.2, 1.25)
    """
    preset = compat or "lightmine"
    check_choice("compat", preset, PRESETS)
    options = {
        "k": k, "k_backward": k_backward, "margin": margin, "retrieval": retrieval, "rank": rank,
        "n_best": n_best, "one_to_one": one_to_one, "threshold": threshold, "max_score": max_score,
        "min_cosine": min_cosine,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    spec = dataclasses.replace(PRESET_SPECS[preset], **given)  # type: ignore[arg-type]
    if spec.retrieval not in spec.retrievals:
        raise ArgumentError(
            f"{preset} has no retrieval {spec.retrieval!r}, only {', '.join(spec.retrievals)}; "
            "choose one of them, or leave compat out"
        )
    return spec
