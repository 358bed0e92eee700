"""Mining without a threshold, and the notes about thresholds and limits."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lightmine.calibration.default_threshold import TOP_K, DefaultThreshold, default_threshold, pairs_needed
from lightmine.cli._notes import in_words
from lightmine.cli._run import RunOptions
from lightmine.encoder.encoder import Encoder
from lightmine.engine.counting import LeftOut
from lightmine.engine.spec import Pairs
from lightmine.paraphrase import mine_paraphrases


def mine_by_default(
    encoder: Encoder,
    vectors: list[NDArray[np.float32]],
    run: RunOptions,
    *,
    top_k: int,
    max_pairs: int,
    max_score: float | None,
) -> tuple[Pairs, float]:
    """The pairs over the default threshold, and the threshold, which a note reports.

    The threshold depends only on the texts and the model: it is estimated from pairs that are mined with a
    `top_k` of 100 and without a highest score. If these are the limits that were asked for, the same pairs
    are the answer. If not, the answer is mined after them.
    """
    sizes = [len(side) for side in vectors]
    needed = pairs_needed(*sizes)
    as_asked = top_k == TOP_K and max_score is None
    found = None
    if needed:
        # A folder holds one job, so only the job that makes the answer can be resumed.
        engine = run.engine if as_asked else run.engine | {"resume": None}
        engine |= {"top_k": TOP_K, "max_pairs": max(max_pairs, needed)}
        found = mine_paraphrases(*vectors, **engine)
    chosen = default_threshold(
        np.empty(0, np.float32) if found is None else found.score, *sizes,
        recommended=encoder.manifest.thresholds.get("paraphrase"), model=encoder.manifest.name,
    )  # fmt: skip
    run.note(threshold_in_words(chosen, max_score))
    if chosen.threshold == math.inf:
        none = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        return none, chosen.threshold
    if found is not None and as_asked:
        kept = int((found.score.astype(np.float64) >= chosen.threshold).sum())
        return found[: min(kept, max_pairs)], chosen.threshold
    limits = {"top_k": top_k, "max_pairs": max_pairs, "max_score": max_score}
    found = mine_paraphrases(*vectors, **(run.engine | limits | {"threshold": chosen.threshold}))
    return found, chosen.threshold


def threshold_in_words(chosen: DefaultThreshold, max_score: float | None = None) -> str:
    """A default threshold in one line.

    Examples
    --------
    >>> threshold_in_words(DefaultThreshold(0.957, None, "a strict one"))
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
        note += f". It is over --max-score {max_score:g}, so no pair is kept"
    return note


def capped_in_words(more: LeftOut | None, threshold: float, *, top_k: int, max_pairs: int) -> str:
    """What a limit left out, in one line; empty if it left nothing out.

    Examples
    --------
    >>> capped_in_words(LeftOut("top_k", 19_900, 0, 300), 0.95, top_k=100, max_pairs=500_000)
    '--top-k 100 was reached by 300 sentences: 19,900 more pairs score 0.95 or more; raise it to have them'
    """
    if more is None:
        return ""
    count = f"{more.pairs:,}" if not more.error else f"about {more.pairs:,} (within {more.error:,})"
    score = " are left out" if threshold == -math.inf else f" score {threshold:g} or more"
    reached = f"--max-pairs {max_pairs:,} was reached"
    if more.cap == "top_k":
        reached = f"--top-k {top_k:,} was reached by {in_words(more.rows, 'sentence')}"
    return f"{reached}: {count} more pairs{score}; raise it to have them"
