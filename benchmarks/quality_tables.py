"""Tables and the plot of docs/reports/quality.md, made from the results that `make quality` left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import card_tables
from benchmarks.markdown import markdown, percent

ROOT = Path(__file__).parents[1]
QUALITY = ROOT / "benchmarks/results/quality.json"
BITEXT = ROOT / "benchmarks/results/bitext.json"
ABLATION = ROOT / "benchmarks/results/ablation.json"
PLOT = ROOT / "docs/reports/margin.svg"
DEFAULT, TINY, ENGLISH = "static-multilingual", "static-tiny", "all-MiniLM-L6-v2"


def made() -> dict[str, str]:
    """Every table whose results are there, by name."""
    found: dict[str, str] = {}
    if QUALITY.exists():
        models = json.loads(QUALITY.read_text(encoding="utf-8"))["models"]
        found |= {
            "tatoeba": retrieval(models[DEFAULT]["figures"], "Tatoeba"),
            "flores": retrieval(models[DEFAULT]["figures"], "FLORES"),
            "paraphrases": paraphrases(models),
            "stsb": similarity(models),
            "card": card_tables.card(models[DEFAULT]["figures"]),
            "tiny_card": card_tables.card(models[TINY]["figures"]),
            "bars": card_tables.bars(models, [DEFAULT, TINY], ENGLISH),
        }
        prefixes = json.loads(QUALITY.read_text(encoding="utf-8")).get("prefixes", {}).get(DEFAULT)
        if prefixes:
            found["prefixes"] = card_tables.by_prefix(
                prefixes | {str(models[DEFAULT]["dimension"]): models[DEFAULT]["figures"]}
            )
    if ABLATION.exists():
        found["ablation"] = card_tables.ablation(json.loads(ABLATION.read_text(encoding="utf-8")))
    if BITEXT.exists():
        results = json.loads(BITEXT.read_text(encoding="utf-8"))
        if "margins" in results:
            found |= {
                "margins": by_margin(results["margins"]), "ks": by_k(results["margins"]),
                "retrievals": by_retrieval(results["margins"]), "compat": compat(results["compat"]),
                "calibration": calibration(results["calibration"]),
            }  # fmt: skip
            plot(results["curves"])
        if results.get("sentence_transformers"):
            found["evaluator"] = evaluator(results["sentence_transformers"])
        if "speed" in results:
            found["speed"] = speed(results["speed"])
    return found


def by_margin(rows: list[dict[str, Any]]) -> str:
    """Best F1, margins down and languages across: k 4, retrieval max."""
    return _grid(rows, "margin", k=4, retrieval="max")


def by_k(rows: list[dict[str, Any]]) -> str:
    return _grid(rows, "k", margin="ratio", retrieval="max")


def by_retrieval(rows: list[dict[str, Any]]) -> str:
    return _grid(rows, "retrieval", margin="ratio", k=4)


def _grid(rows: list[dict[str, Any]], down: str, **fixed: Any) -> str:
    chosen = [row for row in rows if all(row[name] == value for name, value in fixed.items())]
    languages = list(dict.fromkeys(row["language"] for row in chosen))
    cells = {(row[down], row["language"]): percent(row["f1"]) for row in chosen}
    return markdown(
        [down, *(f"{language}-en" for language in languages)],
        [[str(one), *(cells[one, language] for language in languages)]
         for one in dict.fromkeys(row[down] for row in chosen)],
    )  # fmt: skip


def compat(rows: list[dict[str, Any]]) -> str:
    """Over the sets: pairs, those that only one of the two has, and the largest difference of margins."""
    cases = dict.fromkeys((row["compat"], row["retrieval"]) for row in rows)
    body = []
    for name, way in cases:
        own = [row for row in rows if (row["compat"], row["retrieval"]) == (name, way)]
        body.append([
            name, way, str(len(own)), f"{sum(row['pairs'] for row in own):,}",
            str(sum(row["only_one_has"] for row in own)),
            f"{max(row['largest_difference'] for row in own):.1e}",
        ])  # fmt: skip
    head = ["compat", "retrieval", "sets", "pairs", "pairs only one has", "largest difference of margins"]
    return markdown(head, body, left=2)


def calibration(rows: list[dict[str, Any]]) -> str:
    """The threshold without gold, its real precision, and what gold and random pairs would have chosen."""
    body = []
    for row in rows:
        own = row["estimate"]
        within = own is not None and abs(own["precision"] - 0.9) <= 0.05
        body.append([
            row["set"], row["language"], _outcome(own), "yes" if within else "**no**",
            _outcome(row["on_gold"]), _outcome(row["random_pairs"]),
            percent(row["best_precision_on_gold_of_100_or_more"]),
        ])  # fmt: skip
    head = ["set", "language", "without gold: threshold, pairs, **precision**", "within 5 points",
            "on gold", "by random pairs", "best precision of 100 pairs or more"]  # fmt: skip
    total = sum("yes" in line for line in body)
    return markdown(head, body, left=2) + f"\n\n{total} of {len(body)} are within 5 points."


def _outcome(found: dict[str, Any] | None) -> str:
    if found is None:
        return "none"
    return f"{found['threshold']:.3f}, {found['taken']:,}, **{percent(found['precision'])}**"


def evaluator(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    body = [
        [
            model,
            name.replace("_", " "),
            *(f"{own[way]:.7f}" for way in ("lightmine", "sentence_transformers", "tied")),
        ]
        for model, rows in figures.items()
        for name, own in rows.items()
    ]
    head = [
        "vectors",
        "English paraphrases",
        "lightmine",
        "sentence-transformers",
        "its scores to six places",
    ]
    return markdown(head, body, left=2)


def retrieval(rows: list[dict[str, Any]], name: str) -> str:
    """Accuracy@1 to and from English, as many languages in a row as fit."""
    cells = [
        f"{row['language']} {percent(row['to_english'])} / {percent(row['from_english'])}"
        for row in sorted((row for row in rows if row["set"] == name), key=lambda row: -row["to_english"])
    ]
    mean = {
        way: sum(row[way] for row in rows if row["set"] == name) / max(len(cells), 1)
        for way in ("to_english", "from_english")
    }
    across = 4
    lines = [cells[start : start + across] for start in range(0, len(cells), across)]
    body = [line + [""] * (across - len(line)) for line in lines]
    head = [f"{len(cells)} languages", "mean", percent(mean["to_english"]), percent(mean["from_english"])]
    return markdown(head, body, left=across)


def paraphrases(models: dict[str, Any]) -> str:
    """Average precision and best F1 by language."""
    return by_language(
        models,
        "paraphrase",
        lambda row: f"{percent(row['average_precision'])} / {percent(row['f1'])} ({row['threshold']:.3f})",
    )


def similarity(models: dict[str, Any]) -> str:
    """Spearman's and Pearson's correlation by language."""
    return by_language(models, "STS-b", lambda row: f"{percent(row['spearman'])} / {percent(row['pearson'])}")


def by_language(models: dict[str, Any], name: str, cell: Callable[[dict[str, Any]], str]) -> str:
    """A line a language, a column a model; a dash where it was not measured or does not apply."""
    rows = {
        model: {row["language"]: row for row in found["figures"] if row["set"] == name}
        for model, found in models.items()
    }
    body = []
    for language in dict.fromkeys(language for own in rows.values() for language in own):
        body.append([language])
        for model, own in rows.items():
            row = own.get(language) if model != ENGLISH or language == "en" else None
            body[-1].append(cell(row) if row else "–")
    return markdown(["language", *rows], body)


def speed(found: dict[str, Any]) -> str:
    body = [
        [
            name.replace("_", " "),
            f"{found[name]['seconds']:.2f}",
            str(found[name].get("processor_seconds", "")),
        ]
        for name in found
        if name not in ("sentences", "file_mib")
    ]
    head = [f"{found['sentences']:,} x {found['sentences']:,}, whole command", "seconds", "of a processor"]
    table = markdown(head, body)
    return f"{table}\n\nThe file of saved neighbours holds {found['file_mib']} MiB, texts included."


def plot(curves: dict[str, dict[str, list[list[float]]]]) -> None:
    """Precision over recall, with ratio margin and by cosine alone."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "lightmine", "font.size": 9}):
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        panels = figure.subplots(2, 3, sharex=True, sharey=True)
        for panel, (language, lines) in zip(panels.flat, curves.items(), strict=False):
            for margin, style in (("ratio", "-"), ("absolute", "--")):
                recall, precision = lines[margin]
                panel.plot(
                    recall, precision, style, label="ratio margin" if margin == "ratio" else "cosine alone"
                )
            panel.set_title(f"{language}-en")
            panel.grid(alpha=0.3)
        panels[0][0].legend(loc="lower left")
        figure.supxlabel("recall")
        figure.supylabel("precision")
        figure.savefig(PLOT, metadata={"Date": None})
