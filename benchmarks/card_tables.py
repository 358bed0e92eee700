"""Tables of the default model's card, made from the results that `make quality` left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.markdown import markdown, percent

WEST = "de fr es nl"
FIRST = WEST + " zh"


def card(rows: list[dict[str, Any]]) -> str:
    """A line a language, a column a set; a dash where there is no set."""
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        if len(row["language"]) == 2:  # the model's own; others have Tatoeba's codes
            cells.setdefault(row["language"], {})[row["set"]] = _card_cell(row)
    sets = {
        "Tatoeba": "Tatoeba", "FLORES": "FLORES", "FLORES, between others": "FLORES, between",
        "TICO-19": "TICO-19", "BUCC-style": "BUCC-style F1", "paraphrase": "paraphrase AP", "STS-b": "STS-b",
    }  # fmt: skip
    order = [language for language in cells if language != "en"] + ["en"]
    measured = [name for name in sets if any(name in own for own in cells.values())]
    return markdown(
        ["", *(sets[name] for name in measured)],
        [[language, *(cells[language].get(name, "–") for name in measured)] for language in order],
    )


def _card_cell(row: dict[str, Any]) -> str:
    if "to_english" in row:
        return f"{percent(row['to_english'])} / {percent(row['from_english'])}"
    if "least" in row:
        return f"{percent(row['mean'])} ({percent(row['least'])})"
    if "spearman" in row:
        return percent(row["spearman"])
    if row["set"] == "BUCC-style":
        return f"{percent(row['f1'])} ({row['threshold']:.3f})"
    return percent(row["average_precision"])


def bars(models: dict[str, Any], names: Sequence[str], peer: str) -> str:
    """The goals of the default model, and what the named models reach; a dash without the language."""
    columns = [_reached(models[name]["figures"]) for name in names]
    english = _found(models[peer]["figures"])["paraphrase", "en"]
    wanted = {
        "Tatoeba to English: de fr es nl zh": [98, 94, 96, 94, 89],
        "FLORES to English: mean of de fr es nl": [98.5],
        "FLORES to English: zh": [85],
        "FLORES to English: mean and least of the other languages": [80, 60],
        "BUCC-style best F1: de fr es nl zh ru": [94, 94, 94, 94, 78, 75],
        "STS-b: en; mean of de fr es nl": [77, 70],
        "English paraphrase AP, beside 90 % of all-MiniLM-L6-v2's": [90 * english["average_precision"]],
    }
    body = [
        [what, ", ".join(f"{bar:.3g}" for bar in bars_)]
        + [", ".join(map(_beside, bars_, column)) for column in map(list, rows)]
        for (what, bars_), *rows in zip(wanted.items(), *columns, strict=True)
    ]
    return markdown(["measure", "at least", *names], body)


def _reached(rows: list[dict[str, Any]]) -> list[list[float | None]]:
    """The figures beside the bars; None where a model was not measured."""
    found = _found(rows)

    def of(set_: str, languages: str, name: str) -> list[float | None]:
        wanted = [(set_, language) for language in languages.split()]
        return [100 * found[one][name] if one in found else None for one in wanted]

    others = [
        100 * row["to_english"]
        for (name, language), row in found.items()
        if name == "FLORES" and language not in FIRST.split()
    ]
    return [
        of("Tatoeba", FIRST, "to_english"),
        [_mean(of("FLORES", WEST, "to_english"))],
        of("FLORES", "zh", "to_english"),
        [_mean(others), min(others)] if others else [None, None],
        of("BUCC-style", FIRST + " ru", "f1"),
        [*of("STS-b", "en", "spearman"), _mean(of("STS-b", WEST, "spearman"))],
        of("paraphrase", "en", "average_precision"),
    ]


def _found(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["set"], row["language"]): row for row in rows}


def _beside(bar: float, value: float | None) -> str:
    """The figure; bold where it misses the bar."""
    if value is None:
        return "–"
    return f"{value:.1f}" if value >= bar else f"**{value:.1f}**"


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def by_prefix(sizes: dict[str, list[dict[str, Any]]]) -> str:
    """The same measures with only the first dimensions of every vector."""
    means: list[tuple[str, str, str, str]] = [
        ("Tatoeba to English, mean", "Tatoeba", "de fr es nl zh", "to_english"),
        ("FLORES to English, mean", "FLORES", "de fr es nl zh", "to_english"),
        ("BUCC-style best F1, mean", "BUCC-style", "de fr es nl zh", "f1"),
        ("STS-b, English", "STS-b", "en", "spearman"),
        ("English paraphrase AP", "paraphrase", "en", "average_precision"),
    ]
    body = []
    for what, name, languages, figure in means:
        body.append([what])
        for rows in sizes.values():
            chosen = [
                row[figure] for row in rows if row["set"] == name and row["language"] in languages.split()
            ]
            body[-1].append(percent(_mean(chosen)))
    return markdown(["", *(f"{size} dimensions" for size in sizes)], body)


def ablation(rows: list[dict[str, Any]]) -> str:
    """Held-out accuracy and likeness to the teacher of short runs; a dash where one was not measured."""
    columns = {
        "inside": "held-out", "everyday": "everyday", "outside": "another domain",
        "likeness_english": "likeness, English", "likeness_other": "likeness, others",
        "likeness": "likeness, another domain",
    }  # fmt: skip
    body = [
        [
            row["what"].replace("pieces", "tokens").replace("numbers", "dimensions"),
            *(f"{row[name]:.1f}" if name in row else "–" for name in columns),
        ]
        for row in rows
    ]
    return markdown(["", *columns.values()], body)
