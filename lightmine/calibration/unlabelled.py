"""The precision of mined pairs without gold, estimated from pairs that are known to be unrelated.

Bitext: the partner of a sentence is removed from the other side, and the sentence is mined again. A sentence
has one translation, so the pair that is found then is false, and its score is a partner-removed score. The
false pairs of sentences without a translation have the same distribution of scores. Paraphrases: nearly all
pairs are unrelated, and the tail of their scores is exponential. Pairs above this tail are paraphrases.

docs/reports/quality.md tells how accurate both are on sets with gold, and what was tried before.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from lightmine.bitext.margin import margin_scores
from lightmine.bitext.pairing import Bitext, both_directions, first_k, mean_scores, retrieve
from lightmine.bitext.presets import MarginSpec
from lightmine.engine.top_k import Scores
from lightmine.errors import ArgumentError
from lightmine.results import Indices
from lightmine.search import Neighbors

# Neighbours that `bitext_truth` needs beyond those of the specification: the partner and the next best are
# removed.
MORE_NEIGHBORS = 2
# With fewer sentences an estimate is too uncertain.
MIN_SENTENCES = 200
# Mined pairs a sentence that the tail of unrelated pairs is fitted to.
PAIRS_A_SENTENCE = 2
# Width of the bins of scores.
BIN = 0.01
# A pair with this estimated probability, or more, counts as a translation: the partner-removed scores of its
# sentences are used.
CONFIDENT = 0.8

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def bitext_truth(near: Neighbors, spec: MarginSpec) -> tuple[Bitext, Floats]:
    """Mined pairs, and how many true pairs each is estimated to add.

    Parameters
    ----------
    near : Neighbors
        Of both directions, `MORE_NEIGHBORS` more than the specification uses.
    spec : MarginSpec
        With one candidate a sentence and one_to_one="auto"; its thresholds are not used.

    Returns
    -------
    Bitext
        Mined without a threshold.
    float64 array of shape (p,)
        The sum of the first i values estimates the true pairs among the first i. Single values are uncertain.

    Raises
    ------
    ArgumentError
        Under 200 sentences on a side, too few neighbours, or a specification that is not supported.
    """
    if spec.n_best > 1 or spec.one_to_one != "auto":
        raise ArgumentError(
            "without gold, calibration knows one candidate a sentence and the retrieval's own one-to-one; "
            "leave n_best and one_to_one out, or give gold"
        )
    forward, backward = both_directions(near)
    check_enough(min(len(forward.index), len(backward.index)))
    found, mutual, either = (
        retrieve(
            near, k=spec.k, k_backward=spec.back, margin=spec.margin, rank=spec.rank, retrieval=retrieval
        )
        for retrieval in (spec.retrieval, "intersect", "max")
    )
    sides = _partner_removed(forward, backward, found, spec)
    keys = (found.left * len(backward.index) + found.right, mutual.left * len(backward.index) + mutual.right)
    true = _consistent(np.isin(*keys).astype(np.float64), sides, found.score.astype(np.float64))
    # If hardly any partner scores higher than unrelated pairs do, nothing can be estimated: no pair
    # is counted.
    both = _partner_removed(forward, backward, either, dataclasses.replace(spec, retrieval="max"))
    translated = min(side.translated for side in both)
    if float(true.sum()) < 1 or translated < float(true.sum()) / 10:
        return found, np.zeros(len(found))
    return found, true


def _partner_removed(
    forward: Neighbors, backward: Neighbors, found: Bitext, spec: MarginSpec
) -> list[_PartnerRemoved]:
    """The partner-removed scores of each side that the retrieval mines from."""
    sides = []
    if spec.retrieval != "backward":
        ks = spec.k, spec.back
        sides.append(_PartnerRemoved(forward, backward, ks, found.left, found.right, found, spec))
    if spec.retrieval != "forward":
        ks = spec.back, spec.k
        sides.append(_PartnerRemoved(backward, forward, ks, found.right, found.left, found, spec))
    return sides


class _PartnerRemoved:
    """The best pairs of one side's sentences after their partners are removed: known to be unrelated.

    Attributes
    ----------
    n : int
        Sentences of the side.
    score : float64 array of shape (p,)
        Partner-removed scores: the best margin of each mined sentence without its partner.
    mined : bool array of shape (p,)
        Whether that pair would have been mined.
    translated : float
        A lower bound of how many sentences have a translation: partners that exceed the partner-removed score
        by more than that score exceeds the next one.
    """

    def __init__(
        self, near: Neighbors, other: Neighbors, ks: tuple[int, int], rows: Rows, partners: Rows,
        found: Bitext, spec: MarginSpec,
    ) -> None:  # fmt: skip
        self.n = len(near.index)
        k = min(ks[0], len(other.index) - MORE_NEIGHBORS)
        first_k("k", near, other, k + MORE_NEIGHBORS)
        other_mean = mean_scores(first_k("k", other, near, ks[1]), spec)
        candidates = near.index[rows], near.score[rows]
        best, self.score = _best_without(partners[:, None], candidates, k, other_mean, spec)
        _, next_best = _best_without(np.stack([partners, best], axis=1), candidates, k, other_mean, spec)
        # The pair would be mined if its other sentence had no better pair.
        rival = np.full(len(other.index), -np.inf)
        if spec.retrieval in ("max", "intersect"):
            rival[partners] = found.score
        self.mined = self.score > rival[best]
        # Differences between the best of many random scores are exponential: the first has twice the mean of
        # the second.
        spacing = 2 * float(np.median(self.score - next_best)) / np.log(2)
        chance = np.exp(-np.maximum(found.score - self.score, 0) / max(spacing, 1e-12))
        self.translated = max(0.0, len(rows) - 2.0 * float((chance > 0.5).sum()))

    def false(self, score: Floats, true: Floats) -> Floats:
        """The expected number of false pairs at or over each score; scores are in falling order."""
        weights = np.where(true >= CONFIDENT, true, 0.0)
        weights = weights / max(float(weights.sum()), 1e-12)
        order = np.argsort(-self.score)
        order = order[self.mined[order]]
        over = np.searchsorted(-self.score[order], -score, side="right")
        share = np.r_[0.0, np.cumsum(weights[order])][over]
        untranslated = max(self.n - float(true.sum()), 0.0)
        expected: Floats = untranslated * share
        return expected


def _best_without(
    removed: Rows, candidates: tuple[Indices, Scores], k: int, other_mean: Floats, spec: MarginSpec
) -> tuple[Rows, Floats]:
    """The best candidate of each sentence, and its margin, after some of the candidates are removed.

    `removed` has the candidates to remove in each row; `k` candidates of the others count as neighbours.
    """
    index, cosine = candidates
    is_removed = (index[:, :, None] == removed[:, None, :]).any(axis=2)
    columns = np.argsort(is_removed, axis=1, kind="stable")[:, :k]
    index, cosine = np.take_along_axis(index, columns, axis=1), np.take_along_axis(cosine, columns, axis=1)
    mean = cosine.mean(axis=1, dtype=np.float64)[:, None] * spec.cosine_scale
    scores = margin_scores(
        cosine * np.float32(spec.cosine_scale), mean, other_mean[index],
        margin=spec.margin, smallest_average=spec.smallest_average,
    ).astype(np.float64)  # fmt: skip
    column = scores.argmax(axis=1) if spec.rank == "margin" else np.zeros(len(index), np.int64)
    row = np.arange(len(index))
    return index[row, column], scores[row, column]


def _consistent(true: Floats, sides: list[_PartnerRemoved], score: Floats) -> Floats:
    """Estimates of true pairs that are consistent with the scores of false pairs, found by iteration.

    Which pairs are true determines how false pairs score, and the scores of false pairs determine how many
    pairs are true. Returned is what each pair adds to the expected number of true pairs.
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
        In falling order; at least the `PAIRS_A_SENTENCE` times n best pairs, or all pairs.
    n : int
        Number of sentences that were mined.

    Returns
    -------
    float64 array of shape (p,)
        Zero for pairs after those that are used.

    Raises
    ------
    ArgumentError
        Under 200 sentences, or too few pairs.
    """
    check_enough(n)
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


def check_enough(n: int) -> None:
    """Refuse an estimate from too few sentences."""
    if n < MIN_SENTENCES:
        raise ArgumentError(
            f"{n} sentences are too few to tell true from false without gold: {MIN_SENTENCES} are needed"
        )
