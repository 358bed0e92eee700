"""The default threshold of paraphrase mining: what the model recommends, or a higher one.

One cosine does not fit all corpora. The number of unrelated pairs over a cosine grows with the square of
the number of texts, and it depends on the language and on the domain. So the recommended cosine is only a
lower limit. The precision over it is estimated from the scores of the mined pairs
(`lightmine.calibration.unlabelled`).
If the estimate is too low, the threshold is raised. docs/reports/quality.md tells how accurate this is on
real sets.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from lightmine.calibration.unlabelled import MIN_SENTENCES, PAIRS_A_SENTENCE, mixture

# The estimated precision that the threshold must reach.
TARGET = 0.8
# The same for a model that recommends no cosine, so that no lower limit corrects an estimate that is too
# high.
TARGET_ALONE = 0.9
# The highest precision that is reported. Pairs that differ in one word can score as paraphrases do, and the
# distribution of scores does not show them: where the estimate is nearly 1, the truth is 0.9
# (docs/reports/quality.md).
MAX_REPORTED = 0.9
# The strict cosine, which few pairs other than near-copies reach, is this part of the way from 1 down to the
# recommended one.
STRICT = 0.25
STRICT_ALONE = 0.95
# If more pairs a text than MANY are over the strict cosine, they are not near-copies, unless their estimated
# precision is EVEN or more.
MANY, EVEN = 0.1, 0.5
# Partners that each text may list among the pairs that the estimate uses.
TOP_K = 100
# Largest number of pairs that the estimate uses: two a text, so it is made for up to 250,000 texts.
MOST_PAIRS = 500_000
# Least number of bins of the scores, and their largest width.
BINS, WIDEST = 30, 0.01

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class DefaultThreshold:
    """A threshold, its estimated precision, and its origin.

    Attributes
    ----------
    threshold : float
        Cosine from which pairs are kept; minus infinity keeps all, infinity none.
    precision : float or None
        Estimated fraction of true paraphrases among the pairs that are kept, at most 0.9; None if there is no
        estimate.
    reason : str
        How the threshold was chosen, as the end of a sentence.
    """

    threshold: float
    precision: float | None
    reason: str


def pairs_needed(n: int, m: int | None = None) -> int:
    """The number of best pairs that the estimate needs; 0 if no estimate is made.

    Parameters
    ----------
    n : int
        Texts that are mined.
    m : int, optional
        Texts of the second list, if there is one.

    Examples
    --------
    >>> pairs_needed(5000), pairs_needed(5000, 1000), pairs_needed(50), pairs_needed(1_000_000)
    (10000, 6000, 0, 0)
    """
    texts = n if m is None else n + m
    wanted = min(PAIRS_A_SENTENCE * n, n * (n - 1) // 2) if m is None else min(texts, n * m)
    return wanted if texts >= MIN_SENTENCES and wanted <= MOST_PAIRS else 0


def default_threshold(
    score: NDArray[np.float32],
    n: int,
    m: int | None = None,
    *,
    recommended: float | None = None,
    model: str = "the model",
) -> DefaultThreshold:
    """Choose the threshold for pairs that were mined without one.

    1. The recommended cosine, if no pair reaches it or the estimated precision over it is at least 80 %.
    2. Else the lowest higher cosine with an estimated precision of at least 80 %. (A model that recommends
       no cosine: the lowest cosine with 90 %.)
    3. If there is none: three quarters of the way from the recommended cosine to 1, or 0.95 without one.
    4. If there is more than one such pair for ten texts, and most of them are unrelated by estimate, or there
    is no estimate: no pair. The model does not distinguish these texts.

    Without an estimate (`pairs_needed` is 0) it is the recommended cosine under 200 texts, and the cosine of
    step 3 over 250,000 texts.

    Parameters
    ----------
    score : float32 array of shape (p,)
        In falling order, mined with a `top_k` of 100: at least the `pairs_needed` best pairs, or all pairs.
        Not used if `pairs_needed` is 0.
    n, m : int
        Texts of the one list, or of two lists.
    recommended : float, optional
        The cosine that the model's manifest recommends.
    model : str
        Name of the model in the reason.

    Returns
    -------
    DefaultThreshold
        Its threshold has three decimals, unless it is the recommended one or infinite.

    Examples
    --------
    Scores of unrelated pairs that fall off exponentially, and among them 500 paraphrases:

    >>> rng = np.random.default_rng(0)
    >>> score = np.append(0.5 + 0.05 * rng.exponential(size=3500), rng.beta(18, 2, size=500))
    >>> score = np.sort(score[score < 1]).astype(np.float32)[::-1]
    >>> found = default_threshold(score, 2000, recommended=0.6)
    >>> found.threshold, round(found.precision, 2)
    (0.668, 0.8)
    """
    needed, texts = pairs_needed(n, m), n if m is None else n + m
    strict = STRICT_ALONE if recommended is None else _up(1 - STRICT * (1 - recommended))
    if not needed:
        return _without_estimate(texts, recommended, strict, model)
    lower, target = (-math.inf, TARGET_ALONE) if recommended is None else (recommended, TARGET)
    used = score[:needed].astype(np.float64)
    expected = _expected(used, strict)
    over = int((used >= lower).sum())
    if recommended is not None and not over:
        return DefaultThreshold(recommended, None, f"which {model} recommends and no pair reaches")
    reached = np.flatnonzero(expected[:over] >= target)
    if recommended is not None and over < needed and len(reached) and reached[-1] == over - 1:
        return DefaultThreshold(recommended, _reported(expected[over - 1]), f"which {model} recommends")
    at = _up(used[reached[-1]]) if len(reached) else math.inf
    if kept := int((used >= at).sum()):
        reason = "estimated from the scores" + _too_low(over, expected, recommended, model)
        return DefaultThreshold(at, _reported(expected[kept - 1]), reason)
    return _unreached(used, texts, strict, expected, target)


def _too_low(over: int, expected: Floats, recommended: float | None, model: str) -> str:
    """The precision that the recommended cosine would have given, in words."""
    if recommended is None:
        return ""
    few = f"{'only' if over < len(expected) else 'under'} {_percent(expected[over - 1])}"
    return f" (over {recommended:g}, which {model} recommends, {few} would be paraphrases)"


def _without_estimate(texts: int, recommended: float | None, strict: float, model: str) -> DefaultThreshold:
    if texts >= MIN_SENTENCES:
        why = f"a strict one: for {texts:,} texts the precision is not estimated"
        return DefaultThreshold(strict, None, why)
    why = f"under {MIN_SENTENCES} texts the precision cannot be estimated"
    if recommended is None:
        return DefaultThreshold(-math.inf, None, f"{model} recommends none, and {why}")
    return DefaultThreshold(recommended, None, f"which {model} recommends ({why})")


def _unreached(score: Floats, texts: int, strict: float, expected: Floats, target: float) -> DefaultThreshold:
    """The strict threshold; or infinity, if too many pairs are over it."""
    over = int((score >= strict).sum())
    odds = expected[over - 1] if over and len(expected) else 0.0
    if over > MANY * texts and odds < EVEN:
        count = f"{over:,}{' or more' if over == len(score) else ''}"
        reason = f"{count} pairs score {strict:g} or more, and their scores do not tell which are paraphrases"
        return DefaultThreshold(math.inf, None, reason)
    best = f"; the best is {_percent(expected.max())}" if len(expected) else ""
    reason = f"a strict one: no threshold reaches an estimated precision of {_percent(target)}{best}"
    return DefaultThreshold(strict, None, reason)


def _expected(score: Floats, strict: float) -> Floats:
    """The estimated precision of the first i pairs, for each i; empty if there is no estimate."""
    if not len(score) or score[-1] >= strict:
        return np.empty(0)
    lowest, best = float(score[-1]), np.minimum(score, 1.0)
    width = min(WIDEST, (1 - lowest) / BINS)
    edges = np.append(np.arange(lowest, 1 - width / 2, width), 1 + 1e-6)
    counts, _ = np.histogram(best, edges)
    # A higher score is at least as likely a paraphrase; the two fitted curves can cross again near 1.
    share = np.maximum.accumulate(mixture(counts.astype(np.float64), edges, bin_width=width))
    of_pair = share[np.clip(np.searchsorted(edges, best, side="right") - 1, 0, len(counts) - 1)]
    found: Floats = np.cumsum(of_pair) / np.arange(1, len(of_pair) + 1)
    return found


def _percent(precision: float) -> str:
    """In percent, rounded down, so that a precision under the target is not shown as the target."""
    return f"{math.floor(100 * precision + 1e-9)}%"


def _reported(precision: float) -> float:
    return min(float(precision), MAX_REPORTED)


def _up(cosine: float) -> float:
    """Round up to three decimals, so that the number in the note is the number that is used."""
    return math.ceil(round(1000 * float(cosine), 6)) / 1000
