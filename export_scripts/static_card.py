"""What the static model's manifest says beside its numbers: sources, licences, recipe, thresholds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from export_scripts.static_pairs import Pairs, Settings
from export_scripts.static_teacher import Teacher
from lightmine import Encoder, mine_bitext, mine_paraphrases
from lightmine import evaluation as evaluate

# The licence that each source states, and whom it asks to name.
LICENCES = {
    "tatoeba": "CC BY 2.0 FR, tatoeba.org and its contributors",
    "manythings_more": "CC BY 2.0 FR, tatoeba.org and its contributors, by manythings.org",
    "massive": "CC BY 4.0, Amazon (MASSIVE) and the authors of SLURP",
    "python_docs": "CC0 1.0 and the PSF licence, the translators of the Python documentation",
    "ms_beginners_mt": "MIT, Microsoft",
    "aosp_apps": "Apache 2.0, the Android Open Source Project",
    "godot_editor": "MIT, the Godot Engine contributors",
    "tldr_pages": "CC BY 4.0, the tldr-pages contributors",
    "matrix_react_sdk": "Apache 2.0, the Matrix.org Foundation",
    "bible_pd": "public domain and CC0; Portuguese CC BY 3.0 BR",
}


def about(name: str, settings: Settings, pairs: Pairs, teacher: Teacher | None) -> dict[str, Any]:
    """Name, source, licence and recipe; of the sources those that the languages have pairs in."""
    known = list(settings.weights())
    sources = [known[place] for place in np.unique(pairs.source)]
    return {
        "name": name,
        "source": "trained by export_scripts.train_static on " + ", ".join(sources),
        "licence": "CC BY 4.0; made from: " + "; ".join(f"{one} ({LICENCES[one]})" for one in sources),
        "recipe": recipe(settings, distilled=teacher is not None),
    }


def recipe(settings: Settings, *, distilled: bool) -> str:
    """How the model was made."""
    steps = [
        f"{settings.pieces:,} pieces, one {settings.dimension}-d vector each, summed",
        f"in-batch contrastive loss at scale {settings.scale:g}, both directions",
        f"{settings.epochs} epochs, batches of {settings.batch}, seed {settings.seed}",
        f"int8 rows of {2 * settings.levels + 1} levels with a scale each",
    ]
    if distilled:
        steps.insert(
            2,
            f"{settings.distillation:g} x mean squared distance from all-MiniLM-L6-v2's similarities and "
            f"{settings.view:g} x (1 - cosine) of its vectors",
        )
    return "; ".join(steps)


def thresholds(bundle: Path, held: Pairs, siblings: Pairs, settings: Settings) -> dict[str, float]:
    """The thresholds of the best F1 on what was held out: for `bitext` the median of the languages'.

    ``bitext_cosine`` is the cosine that all but 1 in 100 of the true pairs reach that are mined in the
    language where cosines are lowest, rounded down to a twentieth.
    """
    encoder = Encoder.load(str(bundle))
    found = [
        _bitext(encoder, held, place)
        for place in range(len(settings.languages.split()))
        if (held.language == place).sum() >= 20
    ]
    margins, cosines = zip(*found, strict=True)
    paraphrase = _paraphrase(encoder, held, siblings)
    return {
        "bitext": round(float(np.median(margins)), 3),
        "bitext_cosine": math.floor(20 * min(cosines)) / 20,
        "paraphrase": round(paraphrase, 3),
    }


def _bitext(encoder: Encoder, held: Pairs, language: int) -> tuple[float, float]:
    """The best margin, and the cosine that nearly all true pairs over it reach.

    Of a language's pairs, half are planted among sentences whose translation is left out.
    """
    rows = np.flatnonzero(held.language == language)
    planted, left, right = np.split(rows, [len(rows) // 2, len(rows) * 3 // 4])
    english = [held.texts[number] for number in held.english[np.concatenate([planted, left])]]
    other = [held.texts[number] for number in held.other[np.concatenate([planted, right])]]
    gold = [(place, place) for place in range(len(planted))]
    found = mine_bitext(encoder.encode(other), encoder.encode(english), k=4, threshold=None)
    threshold = evaluate.bitext_mining(found.left, found.right, found.score, gold).threshold
    true = (found.left == found.right) & (found.left < len(planted)) & (found.score >= threshold)
    return threshold, float(np.quantile(found.cosine[true], 0.01))


def _paraphrase(encoder: Encoder, held: Pairs, siblings: Pairs) -> float:
    """English sentences of the same translation are paraphrases."""
    english = np.concatenate([held.english, siblings.english])
    other = np.concatenate([held.other, siblings.other])
    sentences, place = np.unique(english, return_inverse=True)
    order = np.argsort(other, kind="stable")
    groups = np.split(place[order], np.flatnonzero(np.diff(other[order])) + 1)
    gold = {
        (int(min(one, two)), int(max(one, two)))
        for group in groups
        for one in group
        for two in group
        if one != two
    }
    found = mine_paraphrases(
        encoder.encode([held.texts[number] for number in sentences]), top_k=100, threshold=None
    )
    return evaluate.paraphrase_mining(found.left, found.right, found.score, sorted(gold)).threshold
