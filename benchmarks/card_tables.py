"""Tables of the default model's card, made from the results that `make quality` left."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import markdown, percent


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
    return markdown(
        ["", *sets.values()],
        [[language, *(cells[language].get(name, "–") for name in sets)] for language in order],
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


def bars(models: dict[str, Any], default: str) -> str:
    """What the default model had to reach, and what it reaches."""
    own = models[default]["figures"]
    found = {(row["set"], row["language"]): row for row in own}
    peer = next((model["figures"] for name, model in models.items() if name != default), own)
    english = next(row for row in peer if (row["set"], row["language"]) == ("paraphrase", "en"))

    def of(set_: str, languages: str, name: str) -> list[float]:
        return [100 * found[set_, language][name] for language in languages.split()]

    first = "de fr es nl zh"
    others = [
        100 * row["to_english"]
        for (name, language), row in found.items()
        if name == "FLORES" and language not in first
    ]
    west = _mean(of("FLORES", "de fr es nl", "to_english"))
    wanted: list[tuple[str, list[float], list[float]]] = [
        ("Tatoeba to English: de fr es nl zh", [98, 94, 96, 94, 89], of("Tatoeba", first, "to_english")),
        ("FLORES to English: mean of de fr es nl", [98.5], [west]),
        ("FLORES to English: zh", [85], of("FLORES", "zh", "to_english")),
        (f"FLORES to English: mean and least of the other {len(others)}", [80, 60],
         [_mean(others), min(others)]),
        ("BUCC-style best F1: de fr es nl zh ru", [94, 94, 94, 94, 78, 75],
         of("BUCC-style", f"{first} ru", "f1")),
        ("STS-b: en; mean of de fr es nl", [77, 70],
         [*of("STS-b", "en", "spearman"), _mean(of("STS-b", "de fr es nl", "spearman"))]),
        ("English paraphrase AP, beside 90 % of all-MiniLM-L6-v2's", [90 * english["average_precision"]],
         of("paraphrase", "en", "average_precision")),
    ]  # fmt: skip
    body = [
        [what, ", ".join(f"{bar:.3g}" for bar in bars_), ", ".join(
            f"{value:.1f}" if value >= bar else f"**{value:.1f}**"
            for bar, value in zip(bars_, values, strict=True)
        )]
        for what, bars_, values in wanted
    ]  # fmt: skip
    return markdown(["measure", "at least", "reached (missed in bold)"], body)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def by_prefix(sizes: dict[str, list[dict[str, Any]]]) -> str:
    """The same measures with the first numbers of every vector alone."""
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
    return markdown(["", *(f"{size} numbers" for size in sizes)], body)


def ablation(rows: list[dict[str, Any]]) -> str:
    """Held-out accuracy of short runs, each with one thing changed."""
    columns = {
        "inside": "held-out", "everyday": "everyday", "outside": "another domain",
        "likeness_english": "likeness, English", "likeness_other": "likeness, others",
        "likeness": "likeness, another domain",
    }  # fmt: skip
    body = [[row["what"], *(f"{row[name]:.1f}" if name in row else "–" for name in columns)] for row in rows]
    return markdown(["", *columns.values()], body)
