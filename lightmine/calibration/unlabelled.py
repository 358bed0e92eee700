"""How many mined pairs are false, told without gold from pairs that are known to be unrelated.

Bitext: strike a sentence's partner out of the other side and mine it again. A sentence has one translation,
so whatever it finds now is false, and so are the finds of a sentence that never had a translation: that is
how such sentences score. Paraphrases: over the scores of nearly all pairs, which are unrelated, the tail
of the unrelated ones falls off exponentially; what is above that tail is paraphrases.

docs/bitext.md tells how near both come on sets with gold, and what was tried before.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from lightmine.bitext.margin import margin_scores
from lightmine.bitext.pairing import Bitext, both_directions, first_k, mean_scores, retrieve
from lightmine.bitext.presets import MarginSpec
from lightmine.errors import ArgumentError
from lightmine.search import Neighbors

# Neighbours beyond the rule's own that `bitext_truth` needs: the partner is struck out, then the next best.
MORE_NEIGHBORS = 2
# Sentences under which an estimate would be noise.
FEWEST = 200
# Mined pairs a sentence among which the tail of the unrelated ones is looked at.
PAIRS_A_SENTENCE = 2
BIN = 0.01
# Estimated probability from which a pair's sentences count as translated, so that striking the partner tells.
CONFIDENT = 0.8

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def bitext_truth(near: Neighbors, rule: MarginSpec) -> tuple[Bitext, Floats]:
    """Mined pairs, and how many true pairs each is estimated to add.

    Parameters
    ----------
    near : Neighbors
        Of both directions, `MORE_NEIGHBORS` more of them than the rule counts.
    rule : MarginSpec
        With one candidate a sentence and the retrieval's own one-to-one; its thresholds are not looked at.

    Returns
    -------
    Bitext
        Mined without a threshold.
    float64 array of shape (p,)
        Its sum from the start is the true pairs expected among so many; single values are noise.

    Raises
    ------
    ArgumentError
        Under 200 sentences on a side, too few neighbours, or a rule that it does not know.
    """
    if rule.n_best > 1 or rule.one_to_one != "auto":
        raise ArgumentError(
            "without gold, calibration knows one candidate a sentence and the retrieval's own one-to-one; "
            "leave n_best and one_to_one out, or give gold"
        )
    forward, backward = both_directions(near)
    enough(min(len(forward.index), len(backward.index)))
    found, mutual, either = (
        retrieve(
            near, k=rule.k, k_backward=rule.back, margin=rule.margin, rank=rule.rank, retrieval=retrieval
        )
        for retrieval in (rule.retrieval, "intersect", "max")
    )
    sides = _struck(forward, backward, found, rule)
    keys = (found.left * len(backward.index) + found.right, mutual.left * len(backward.index) + mutual.right)
    true = _refined(np.isin(*keys).astype(np.float64), sides, found.score.astype(np.float64))
    # Where hardly a partner stands out there is nothing to learn from: no pair can be called true.
    both = _struck(forward, backward, either, dataclasses.replace(rule, retrieval="max"))
    translated = min(side.translated for side in both)
    if float(true.sum()) < 1 or translated < float(true.sum()) / 10:
        return found, np.zeros(len(found))
    return found, true


def _struck(forward: Neighbors, backward: Neighbors, found: Bitext, rule: MarginSpec) -> list[_Struck]:
    """The sides that the retrieval mines from."""
    sides = []
    if rule.retrieval != "backward":
        sides.append(_Struck(forward, backward, (rule.k, rule.back), found.left, found.right, found, rule))
    if rule.retrieval != "forward":
        sides.append(_Struck(backward, forward, (rule.back, rule.k), found.right, found.left, found, rule))
    return sides


class _Struck:
    """What one side's sentences find once their partners are struck out: known to be unrelated.

    ``score`` and ``mined``: the best margin then, and whether that pair would have been mined.
    ``translated``: how many partners stand out more than a struck-out sentence's best find does over its
    next one, a lower bound of how many translations there are.
    """

    def __init__(
        self, near: Neighbors, other: Neighbors, ks: tuple[int, int], rows: Rows, partners: Rows,
        found: Bitext, rule: MarginSpec,
    ) -> None:  # fmt: skip
        self.n = len(near.index)
        k = min(ks[0], len(other.index) - MORE_NEIGHBORS)
        first_k("k", near, other, k + MORE_NEIGHBORS)
        other_mean = mean_scores(first_k("k", other, near, ks[1]), rule)

        def best_without(gone: Rows) -> tuple[Rows, Floats]:
            index, cosine = near.index[rows], near.score[rows]
            struck = (index[:, :, None] == gone[:, None, :]).any(axis=2)
            left = np.argsort(struck, axis=1, kind="stable")[:, :k]
            index = np.take_along_axis(index, left, axis=1)
            cosine = np.take_along_axis(cosine, left, axis=1)
            mean = cosine.mean(axis=1, dtype=np.float64)[:, None] * rule.cosine_scale
            scores = margin_scores(
                cosine * np.float32(rule.cosine_scale), mean, other_mean[index],
                margin=rule.margin, smallest_average=rule.smallest_average,
            ).astype(np.float64)  # fmt: skip
            column = scores.argmax(axis=1) if rule.rank == "margin" else np.zeros(len(rows), np.int64)
            row = np.arange(len(rows))
            return index[row, column], scores[row, column]

        candidate, self.score = best_without(partners[:, None])
        _, third = best_without(np.stack([partners, candidate], axis=1))
        # The pair would be mined if its other sentence had nothing better.
        rival = np.full(len(other.index), -np.inf)
        if rule.retrieval in ("max", "intersect"):
            rival[partners] = found.score
        self.mined = self.score > rival[candidate]
        # The spacings of the best of many draws are exponential, the first with twice the mean of the second.
        spacing = 2 * float(np.median(self.score - third)) / np.log(2)
        chance = np.exp(-np.maximum(found.score - self.score, 0) / max(spacing, 1e-12))
        self.translated = max(0.0, len(rows) - 2.0 * float((chance > 0.5).sum()))

    def false(self, score: Floats, true: Floats) -> Floats:
        """How many false pairs there are at or over each of some falling scores."""
        weights = np.where(true >= CONFIDENT, true, 0.0)
        weights = weights / max(float(weights.sum()), 1e-12)
        order = np.argsort(-self.score)
        order = order[self.mined[order]]
        over = np.searchsorted(-self.score[order], -score, side="right")
        share = np.r_[0.0, np.cumsum(weights[order])][over]
        untranslated = max(self.n - float(true.sum()), 0.0)
        expected: Floats = untranslated * share
        return expected


def _refined(true: Floats, sides: list[_Struck], score: Floats) -> Floats:
    """Expected true pairs that agree with themselves: who is true tells how false ones score, and back.

    What each pair adds to them: their sums are what to look at.
    """
    count = np.arange(1, len(score) + 1)
    reach = max(30, len(score) // 20)
    start = np.maximum(np.arange(len(score)) - reach, 0)
    stop = np.minimum(np.arange(len(score)) + reach, len(score))
    for _ in range(100):
        false = np.mean([side.false(score, true) for side in sides], axis=0)
        false = np.r_[0.0, np.minimum(np.maximum.accumulate(false), count)]
        local = 1 - (false[stop] - false[start]) / (stop - start)
        before, true = true, np.minimum.accumulate(np.clip(local, 0, 1))
        if float(np.abs(true - before).max(initial=0.0)) < 1e-4:
            break
    added: Floats = 1 - np.diff(false)
    return added


def paraphrase_truth(score: NDArray[np.float32], n: int) -> Floats:
    """For each mined pair, the estimated probability that it is a paraphrase.

    Parameters
    ----------
    score : float32 array of shape (p,)
        Falling; the `PAIRS_A_SENTENCE` times n best pairs at least, or all there are.
    n : int
        Sentences that were mined.

    Returns
    -------
    float64 array of shape (p,)
        Zero for pairs beyond those looked at.

    Raises
    ------
    ArgumentError
        Under 200 sentences, or too few pairs.
    """
    enough(n)
    wanted = min(PAIRS_A_SENTENCE * n, n * (n - 1) // 2)
    if len(score) < wanted:
        raise ArgumentError(f"{len(score):,} pairs are too few to tell: give the {wanted:,} best or more")
    best = np.minimum(score[:wanted].astype(np.float64), 1.0)
    lowest = float(best[-1])
    edges = np.append(np.arange(lowest, 1.0, BIN), 1.0 + 1e-6)
    if len(edges) < 10:
        raise ArgumentError(
            f"the {wanted:,} best pairs all score {lowest:.2f} or more: nothing tells the true among them"
        )
    counts, _ = np.histogram(best, edges)
    of_bin = mixture(counts.astype(np.float64), edges)
    truth = np.zeros(len(score))
    truth[:wanted] = of_bin[np.clip(np.searchsorted(edges, best, side="right") - 1, 0, len(counts) - 1)]
    return truth


def mixture(counts: Floats, edges: Floats, *, bin_width: float = BIN) -> Floats:
    """The share of paraphrases in each bin: an exponential tail and a beta distribution, by EM."""
    width = np.diff(edges) / bin_width
    place = np.clip((edges[1:] + edges[:-1] - 2 * edges[0]) / (2 * (1 - edges[0])), 1e-3, 1 - 1e-3)
    share = np.clip(2 * place - 1, 0, 1) ** 2
    for _ in range(1000):
        tail = _exponential(counts * (1 - share), place, width)
        weights = counts * share + 1e-9
        total = float(weights.sum())
        mean = float((weights * place).sum()) / total
        variance = max(float((weights * (place - mean) ** 2).sum()) / total, 1e-4)
        size = max(mean * (1 - mean) / variance - 1, 0.5)
        a, b = max(mean * size, 1.0), max((1 - mean) * size, 0.3)
        log_density = (a - 1) * np.log(place) + (b - 1) * np.log(1 - place)
        density = np.exp(log_density - log_density.max()) * width
        bump = total * density / density.sum()
        before, share = share, bump / (bump + tail + 1e-300)
        if float(np.abs(share - before).max()) < 1e-6:
            break
    found: Floats = share
    return found


def _exponential(counts: Floats, place: Floats, width: Floats) -> Floats:
    """Expected counts under an exponential tail, fitted by Newton's method (Poisson likelihood)."""
    design = np.stack([np.ones_like(place), place - 0.5], axis=1)
    weights = np.sqrt(counts + 0.5)
    b = np.linalg.lstsq(design * weights[:, None], np.log((counts + 0.5) / width) * weights, rcond=None)[0]
    for _ in range(30):
        expected = np.exp(np.clip(design @ b, -30, 30)) * width
        hessian = (design * expected[:, None]).T @ design + 1e-8 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (counts - expected))
        b = b + np.clip(step, -3, 3)
        if float(np.abs(step).max()) < 1e-9:
            break
    fitted: Floats = np.exp(np.clip(design @ b, -30, 30)) * width
    return fitted


def enough(n: int) -> None:
    """Refuse to estimate from a handful."""
    if n < FEWEST:
        raise ArgumentError(
            f"{n} sentences are too few to tell true from false without gold: {FEWEST} are needed"
        )
