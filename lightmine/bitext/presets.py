"""The rules by which margin mining makes pairs of neighbours: ours, and those of peers."""

from __future__ import annotations

import dataclasses
import math
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_choice, check_cosine, check_count, check_options, check_threshold
from lightmine.bitext.margin import MARGINS, SMALLEST_AVERAGE
from lightmine.errors import ArgumentError

RETRIEVALS = ("forward", "backward", "intersect", "max")
RANKS = ("margin", "cosine")
ONE_TO_ONE = ("auto", "none", "greedy", "optimal")


class MarginOptions(TypedDict, total=False):
    """What may be asked of margin mining; what is left out, or None, is the preset's. See `MarginRule`."""

    compat: str | None
    k: int | None
    k_backward: int | None
    margin: str | None
    retrieval: str | None
    rank: str | None
    n_best: int | None
    one_to_one: str | None
    threshold: float | None
    max_score: float | None
    min_cosine: float | None


MARGIN_OPTIONS = tuple(MarginOptions.__annotations__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarginRule:
    """From the neighbours of both directions to pairs: what the answer is.

    Attributes
    ----------
    k, k_backward : int
        Neighbours of each source sentence, and of each target sentence (None: as many). Their mean cosine
        is what a pair is compared with, and they are the sentence's candidates.
    margin : {"ratio", "distance", "absolute"}
    retrieval : {"forward", "backward", "intersect", "max"}
        Whose candidates become pairs: each source sentence's best, each target sentence's best, the pairs
        that both sides propose, the pairs that either side proposes.
    rank : {"margin", "cosine"}
        What makes a candidate the best. Equal margins: the nearer, then the lower index.
    n_best : int
        Candidates that each sentence proposes.
    one_to_one : {"auto", "none", "greedy", "optimal"}
        Whether each sentence is used once. greedy: from the best pair down. optimal: the pairs with the
        largest sum of margins (those of zero and less are left out); needs scipy. auto: greedy for the
        retrieval max, none for the others.
    threshold, max_score : float or None
        Only pairs whose margin is at least, and at most, this. The threshold acts before sentences are
        used up, `max_score` on the answer: what is over it takes its sentences with it.
    min_cosine : float or None
        Only pairs whose cosine is at least this; it acts where the threshold does. A pair far from all its
        neighbours can have a high margin, though no translation is there.
    strict, acts_in, cosine_scale, smallest_average, retrievals
        What peers do (docs/guides/bitext.md): whether a margin must be over the threshold; the retrievals in
        which there is a threshold at all, and those that the peer has; what cosines and means are
        multiplied with; the average under which a ratio is divided by that instead (None: never).
    """

    k: int = 4
    k_backward: int | None = None
    margin: str = "ratio"
    retrieval: str = "max"
    rank: str = "margin"
    n_best: int = 1
    one_to_one: str = "auto"
    threshold: float | None = None
    max_score: float | None = None
    min_cosine: float | None = None
    strict: bool = False
    acts_in: tuple[str, ...] = RETRIEVALS
    cosine_scale: float = 1.0
    smallest_average: float | None = SMALLEST_AVERAGE
    retrievals: tuple[str, ...] = RETRIEVALS

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
    def matching(self) -> str:
        """How sentences are kept to one pair each: none, greedy or optimal."""
        if self.one_to_one != "auto":
            return self.one_to_one
        return "greedy" if self.retrieval == "max" else "none"

    @property
    def limit(self) -> float:
        """The threshold that acts, minus infinity where none does."""
        acts = self.threshold is not None and self.retrieval in self.acts_in
        return float(min(self.threshold, 1e300)) if acts and self.threshold is not None else -math.inf

    def admits(self, scores: NDArray[np.float32], cosines: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which pairs reach the threshold and the least cosine.

        Compared in float64: rounding the limits would let others in.
        """
        wide = scores.astype(np.float64)
        over = np.greater(wide, self.limit) if self.strict else np.greater_equal(wide, self.limit)
        if self.min_cosine is not None:
            over &= cosines.astype(np.float64) >= self.min_cosine
        return over


# How the peers mine where nothing else is asked for; docs/guides/bitext.md has it as a table, with sources.
COMPAT = {
    "lightmine": MarginRule(),
    "laser": MarginRule(threshold=0.0, strict=True, acts_in=("max",), smallest_average=None),
    "stopes": MarginRule(
        k=16, rank="cosine", one_to_one="none", threshold=1.06, max_score=1.25, cosine_scale=2.0,
        smallest_average=None, retrievals=("forward", "backward", "max"),
    ),
    "sentence-transformers": MarginRule(threshold=1.0, smallest_average=None, retrievals=("max",)),
}  # fmt: skip


def margin_rule(**options: Unpack[MarginOptions]) -> MarginRule:
    """The rule of a preset, with what was asked for in its place.

    Raises
    ------
    ArgumentError
        An option is out of range, or the peer has no such retrieval.
    OptionError
        No option has that name.

    Examples
    --------
    >>> rule = margin_rule(compat="stopes", threshold=1.2)
    >>> rule.k, rule.rank, rule.threshold, rule.max_score
    (16, 'cosine', 1.2, 1.25)
    """
    check_options(options, MARGIN_OPTIONS, of="margin_rule")
    compat = options.pop("compat", None) or "lightmine"
    check_choice("compat", compat, tuple(COMPAT))
    given = {name: value for name, value in options.items() if value is not None}
    rule = dataclasses.replace(COMPAT[compat], **given)  # type: ignore[arg-type]
    if rule.retrieval not in rule.retrievals:
        raise ArgumentError(
            f"{compat} has no retrieval {rule.retrieval!r}, only {', '.join(rule.retrievals)}; "
            "choose one of them, or leave compat out"
        )
    return rule
