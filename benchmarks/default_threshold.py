"""What `lightmine paraphrase` writes without a threshold: how many pairs, and how many of them are true.

::

    python -m benchmarks.default_threshold --data DIR

Sets with gold: paraphrases (Tatoeba), STS benchmark (pairs of score 4 or more), and one side of
translations, where two texts with the same translation count as paraphrases. All of this gold is incomplete,
so precision is a lower bound. Sets without gold hold hardly any paraphrases: FLORES-200, TICO-19,
BUCC-style. A set that is not in the data folder is skipped with one line. The JSON has the results of both
packaged models.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lightmine
from benchmarks.inputs import pairs_of
from benchmarks.markdown import markdown, percent
from benchmarks.quality import lines
from lightmine.calibration.default_threshold import TOP_K, default_threshold, pairs_needed

RESULTS = Path(__file__).parent / "results/default-threshold.json"
MODELS = {"static-multilingual": None, "static-tiny": "models/static-tiny"}
Gold = set[tuple[int, int]]
# One side of these: source, language pair, which side, texts at most.
SIDES = (
    ("tatoeba", "de", 1), ("tatoeba", "fr", 1), ("tatoeba", "de", 0), ("manythings_more", "pl", 0),
    ("massive", "fr", 0), ("aosp_apps", "de", 0), ("python_docs", "pt", 0), ("godot_editor", "de", 1),
    ("tldr_pages", "fr", 0),
)  # fmt: skip
MOST_TEXTS = 20_000


@dataclasses.dataclass(frozen=True)
class Set:
    """Distinct texts, and the pairs of them that are known to be paraphrases; None without gold."""

    kind: str
    name: str
    texts: list[str]
    gold: Gold | None = None


def distinct_set(kind: str, name: str, texts: Sequence[str], gold: Sequence[tuple[int, int]] | None) -> Set:
    """Each text once, and the gold by the texts' new places."""
    place: dict[str, int] = {}
    places = [place.setdefault(text, len(place)) if text.strip() else -1 for text in texts]
    pairs = None
    if gold is not None:
        both = ((places[a], places[b]) for a, b in gold)
        pairs = {(min(pair), max(pair)) for pair in both if pair[0] != pair[1] and min(pair) >= 0}
    return Set(kind, name, list(place), pairs)


def paraphrases(path: Path) -> Set:
    gold = [tuple(map(int, line.split("\t"))) for line in lines(path.with_suffix(".gold.tsv"))]
    return distinct_set("paraphrase", path.stem, lines(path), [(a, b) for a, b in gold])


def similarity(path: Path) -> Set:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    texts = [text for row in rows for text in row[:2]]
    gold = [(2 * at, 2 * at + 1) for at, row in enumerate(rows) if float(row[2]) >= 4]
    return distinct_set("STS-b", path.stem.removeprefix("stsb-"), texts, gold)


def one_side(path: Path, source: str, language: str, side: int) -> Set:
    """Texts of one side by their translation, in a fixed random order, up to 20,000 or a few more."""
    by: dict[str, list[str]] = {}
    for pair in pairs_of(path):
        by.setdefault(pair[1 - side], []).append(pair[side])
    translations = sorted(by)
    random.Random(0).shuffle(translations)
    place: dict[str, int] = {}
    gold = []
    for translation in translations:
        rows = sorted({place.setdefault(text, len(place)) for text in by[translation]})
        gold += [(a, b) for at, a in enumerate(rows) for b in rows[at + 1 :]]
        if len(place) >= MOST_TEXTS:
            break
    return distinct_set("one side", f"{source} {('en', language)[side]}", list(place), gold)


def columns(path: Path) -> Iterator[Set]:
    """Both sides of a TICO-19 file, English once."""
    language = path.name.removesuffix(".tsv.gz").removeprefix("en-")
    rows = pairs_of(path)
    if language == "es":
        yield distinct_set("TICO-19", "en", [row[0] for row in rows], None)
    yield distinct_set("TICO-19", language, [row[1] for row in rows], None)


def sets(data: Path) -> Iterator[Set]:
    """Every set that is there."""
    readers: list[tuple[str, Callable[[Path], Set]]] = [
        ("paraphrase/*.txt", paraphrases), ("stsb/stsb-*-test.csv", similarity),
        ("flores/*.devtest", lambda path: distinct_set("FLORES", path.stem, lines(path), None)),
        ("bucc_style/*-en.??", lambda path: distinct_set(
            "BUCC-style", path.name, [line.split("\t", 1)[1] for line in lines(path)], None)),
    ]  # fmt: skip
    for pattern, reader in readers:
        paths = sorted(data.glob(pattern))
        if not paths:
            print(f"skipped: no {data / pattern}", file=sys.stderr)
        yield from map(reader, paths)
    for path in sorted(data.glob("tico19/en-*.tsv.gz")):
        yield from columns(path)
    for source, language, side in SIDES:
        path = data / f"train/{source}/en-{language}.tsv.gz"
        if path.exists():
            yield one_side(path, source, language, side)
        else:
            print(f"skipped: no {path}", file=sys.stderr)


def measured(encoder: lightmine.Encoder, one: Set) -> dict[str, Any]:
    """What the fixed threshold and the default one take."""
    n, recommended = len(one.texts), encoder.manifest.thresholds["paraphrase"]
    vectors = encoder.encode(one.texts)
    found = lightmine.mine_paraphrases(vectors, top_k=TOP_K, max_pairs=max(500_000, pairs_needed(n)))
    chosen = default_threshold(found.score, n, recommended=recommended, model=encoder.manifest.name)
    true = None
    if one.gold is not None:
        true = np.array(
            [pair in one.gold for pair in zip(found.left.tolist(), found.right.tolist(), strict=True)]
        )

    def taken(threshold: float) -> dict[str, Any]:
        count = int((found.score.astype(np.float64) >= threshold).sum())
        row: dict[str, Any] = {"threshold": threshold if math.isfinite(threshold) else None, "pairs": count}
        if true is not None and one.gold is not None:
            hits = int(true[:count].sum())
            row["precision"] = round(hits / count, 6) if count else None
            row["recall"] = round(hits / len(one.gold), 6)
        return row

    return {
        "set": one.kind, "name": one.name, "texts": n, "gold": None if one.gold is None else len(one.gold),
        "fixed": taken(recommended), "default": taken(chosen.threshold),
        "expected": chosen.precision, "reason": chosen.reason,
    }  # fmt: skip


def left_out(rows: list[dict[str, Any]]) -> dict[str, float]:
    """For each paraphrase set of an estimate of 0.9: the median real precision of the other such sets."""
    real = {
        row["name"]: row["default"]["precision"]
        for row in rows
        if row["set"] == "paraphrase" and row["expected"] == 0.9
    }
    return {
        name: round(float(np.median([value for other, value in real.items() if other != name])), 3)
        for name in real
        if len(real) > 1
    }


def made(path: Path = RESULTS) -> dict[str, str]:
    """The tables of docs/reports/quality.md."""
    if not path.exists():
        return {}
    models = json.loads(path.read_text(encoding="utf-8"))["models"]
    rows = [row | {"model": name} for name, found in models.items() for row in found["rows"]]
    return {"default_threshold": with_gold(rows), "default_threshold_others": without_gold(rows)}


def with_gold(rows: list[dict[str, Any]]) -> str:
    body = [
        [
            row["model"].removeprefix("static-"), row["set"], row["name"], f"{row['texts']:,}",
            *_cells(row["fixed"]), _threshold(row), *_cells(row["default"]),
            "–" if row["expected"] is None else f"{100 * row['expected']:.0f}",
        ]
        for row in rows
        if row["gold"] is not None
    ]  # fmt: skip
    head = ["model", "set", "language", "texts", "fixed: pairs", "precision, recall", "default: threshold",
            "pairs", "precision, recall", "said"]  # fmt: skip
    return markdown(head, body, left=3)


def without_gold(rows: list[dict[str, Any]]) -> str:
    """Of each kind: sets, texts a set, and pairs by the fixed and by the default threshold."""
    body = []
    for model, kind in dict.fromkeys((row["model"], row["set"]) for row in rows if row["gold"] is None):
        own = [row for row in rows if (row["model"], row["set"]) == (model, kind)]
        body.append([
            model.removeprefix("static-"), kind, str(len(own)), _range(own, lambda row: row["texts"]),
            _range(own, lambda row: row["fixed"]["pairs"]), _range(own, lambda row: row["default"]["pairs"]),
        ])  # fmt: skip
    head = ["model", "set", "lists", "texts", "pairs by the fixed threshold", "by default"]
    return markdown(head, body, left=2)


def _cells(row: dict[str, Any]) -> list[str]:
    precision = "–" if row["precision"] is None else percent(row["precision"])
    return [f"{row['pairs']:,}", f"{precision}, {percent(row['recall'])}"]


def _threshold(row: dict[str, Any]) -> str:
    threshold = row["default"]["threshold"]
    return "none is written" if threshold is None else f"{threshold:g}"


def _range(rows: list[dict[str, Any]], value: Callable[[dict[str, Any]], int]) -> str:
    """Median and range."""
    values = [value(row) for row in rows]
    return f"{np.median(values):,.0f} ({min(values):,} to {max(values):,})"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both models, write the JSON, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the sets")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the results go")
    options = parser.parse_args(argv)
    ready = list(sets(options.data))
    results: dict[str, Any] = {"models": {}}
    for name, path in MODELS.items():
        encoder = lightmine.Encoder.load(path)
        rows = [measured(encoder, one) for one in ready]
        results["models"][name] = {
            "files": encoder.manifest.files, "recommended": encoder.manifest.thresholds["paraphrase"],
            "rows": rows, "median_precision_of_the_other_sets_said_0.9": left_out(rows),
        }  # fmt: skip
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n\n".join(made(options.json).values()))


if __name__ == "__main__":
    main()
