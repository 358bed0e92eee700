"""``lightmine paraphrase`` without a threshold: what is mined, and what is said."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lightmine.calibration.default_threshold import TOP_K, DefaultThreshold, default_threshold, pairs_needed
from lightmine.cli._run import Run
from lightmine.encoder.encoder import Encoder
from lightmine.engine.spec import Pairs
from lightmine.paraphrase import mine_paraphrases


def mine_by_default(
    encoder: Encoder,
    vectors: list[NDArray[np.float32]],
    run: Run,
    *,
    top_k: int,
    max_pairs: int,
    max_score: float | None,
) -> tuple[Pairs, float]:
    """The pairs over the default threshold, which is said, and the threshold.

    The threshold depends on the texts and the model alone: it is estimated from pairs that are mined with a
    `top_k` of 100 and without a highest score. If that was asked for, they are the answer too. If not, the
    answer is mined after them.
    """
    sizes = [len(side) for side in vectors]
    needed = pairs_needed(*sizes)
    as_asked = top_k == TOP_K and max_score is None
    found = None
    if needed:
        # Only the job that makes the answer can be resumed: a folder holds one job.
        engine = run.engine if as_asked else run.engine | {"resume": None}
        engine |= {"top_k": TOP_K, "max_pairs": max(max_pairs, needed)}
        found = mine_paraphrases(*vectors, **engine)
    chosen = default_threshold(
        np.empty(0, np.float32) if found is None else found.score, *sizes,
        recommended=encoder.manifest.thresholds.get("paraphrase"), model=encoder.manifest.name,
    )  # fmt: skip
    run.note(said(chosen, max_score))
    if chosen.threshold == math.inf:
        none = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        return none, chosen.threshold
    if found is not None and as_asked:
        kept = int((found.score.astype(np.float64) >= chosen.threshold).sum())
        return found[: min(kept, max_pairs)], chosen.threshold
    limits = {"top_k": top_k, "max_pairs": max_pairs, "max_score": max_score}
    found = mine_paraphrases(*vectors, **(run.engine | limits | {"threshold": chosen.threshold}))
    return found, chosen.threshold


def said(chosen: DefaultThreshold, max_score: float | None = None) -> str:
    """A default threshold in one line.

    Examples
    --------
    >>> said(DefaultThreshold(0.957, None, "a strict one"))
    'threshold 0.957, a strict one; --threshold none for all'
    """
    if chosen.threshold == math.inf:
        return f"no pair is written: {chosen.reason}; give a --threshold, or --threshold none for all"
    if chosen.threshold == -math.inf:
        return f"no threshold: {chosen.reason}; --threshold sets one"
    note = f"threshold {chosen.threshold:g}, {chosen.reason}"
    if chosen.precision is not None:
        note += f": by estimate about {100 * chosen.precision:.0f}% of the pairs are paraphrases"
    note += "; --threshold none for all"
    if max_score is not None and max_score < chosen.threshold:
        note += f". It is over --max-score {max_score:g}, so no pair is left"
    return note
