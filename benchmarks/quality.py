"""How good models are at what lightmine is for, on public sets: the figures of the model card.

::

    python -m benchmarks.quality --data DIR --model default --model NAME=PATH --json FILE

Retrieval (Tatoeba, FLORES-200), similarity (STS benchmark), bitext mining (BUCC-style, planted in
news) and paraphrase mining (Tatoeba). A set that is not in the data folder is skipped with one line.
The table is made from the JSON alone: `--table FILE` prints it again.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lightmine
from benchmarks.inputs import WORK, minilm_bundle
from lightmine import evaluation as evaluate

Matrix = NDArray[np.float32]
Encode = Callable[[list[str]], Matrix]

# Two letters, then the codes of Tatoeba, FLORES-200 and the paraphrase sets; a dash where there is no set.
LANGUAGES = {
    two: tuple(rest)
    for two, *rest in map(
        str.split,
        """
        en eng eng_Latn eng
        de deu deu_Latn deu
        fr fra fra_Latn fra
        es spa spa_Latn spa
        nl nld nld_Latn nld
        zh cmn zho_Hans zho
        it ita ita_Latn ita
        pt por por_Latn por
        sv swe swe_Latn -
        da dan - -
        pl pol pol_Latn -
        cs ces ces_Latn -
        hu hun - -
        ro ron - -
        ru rus rus_Cyrl rus
        uk ukr ukr_Cyrl -
        el ell - -
        tr tur tur_Latn -
        fi fin fin_Latn -
        ar ara arb_Arab -
        he heb - -
        hi hin hin_Deva -
        ja jpn jpn_Jpan -
        ko kor kor_Hang -
        vi vie vie_Latn -
        id ind - -
        th tha tha_Thai -
        """.strip().splitlines(),
    )
}
# Peers are measured on these.
FIRST = ("en", "de", "fr", "es", "nl", "zh")
NEWS = ("de", "fr", "es", "nl", "zh", "ru")
MEDICAL = ("es", "fr", "pt", "ru", "ar", "hi", "id", "zh")


@dataclasses.dataclass(frozen=True)
class Task:
    """One row of the table: what is measured, on which language, from which files."""

    set: str
    language: str
    measure: Callable[[Encode, list[Path]], dict[str, float]]
    files: tuple[str, ...]

    def absent(self, data: Path) -> list[Path]:
        """The files that are not there."""
        return [data / name for name in self.files if not (data / name).exists()]

    def run(self, encode: Encode, data: Path) -> dict[str, Any]:
        """What was measured, and the figures."""
        figures = self.measure(encode, [data / name for name in self.files])
        return {"set": self.set, "language": self.language} | {
            name: round(value, 6) for name, value in figures.items()
        }


def lines(path: Path) -> list[str]:
    """The lines of a file, split at line feeds only: a sentence may hold other line breaks."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def retrieval(encode: Encode, paths: list[Path]) -> dict[str, float]:
    """Accuracy@1 between the lines of two files."""
    other, english = (encode(lines(path)) for path in paths)
    accuracy = evaluate.retrieval_accuracy(other, english)
    return {"to_english": accuracy.source_to_target, "from_english": accuracy.target_to_source}


def columns(encode: Encode, paths: list[Path]) -> dict[str, float]:
    """Accuracy@1 between the columns of one compressed file: English, then the other."""
    with gzip.open(paths[0], "rt", encoding="utf-8", newline="\n") as file:
        english, other = zip(*(line.rstrip("\n").split("\t") for line in file), strict=True)
    accuracy = evaluate.retrieval_accuracy(encode(list(other)), encode(list(english)))
    return {"to_english": accuracy.source_to_target, "from_english": accuracy.target_to_source}


def between(encode: Encode, paths: list[Path]) -> dict[str, float]:
    """Mean accuracy@1 of the first file's lines among the lines of every other, and the least of them."""
    first, *others = (encode(lines(path)) for path in paths)
    found = [evaluate.retrieval_accuracy(first, other).source_to_target for other in others]
    return {"mean": float(np.mean(found)), "least": min(found)}


def similarity(encode: Encode, paths: list[Path]) -> dict[str, float]:
    """Correlation of cosines with human scores, both sentences in one language."""
    with paths[0].open(encoding="utf-8", newline="") as file:
        left, right, gold = zip(*csv.reader(file), strict=True)
    cosines = np.einsum("nd,nd->n", encode(list(left)), encode(list(right)), dtype=np.float64)
    correlation = evaluate.similarity_correlation(cosines, [float(score) for score in gold])
    return {"spearman": correlation.spearman, "pearson": correlation.pearson}


def bitext(encode: Encode, paths: list[Path]) -> dict[str, float]:
    """Best F1 of mined translations: ratio margin, four neighbours, both directions, one to one."""
    rows = [[line.split("\t", 1) for line in lines(path)] for path in paths]
    numbers = [{name: number for number, (name, _) in enumerate(side)} for side in rows[:2]]
    gold = [(numbers[0][left], numbers[1][right]) for left, right in rows[2]]
    source, target = (encode([text for _, text in side]) for side in rows[:2])
    mined = lightmine.mine_bitext(source, target, k=4, margin="ratio", retrieval="max", threshold=None)
    quality = evaluate.bitext_mining(mined.left, mined.right, mined.score, gold)
    return dataclasses.asdict(quality)


def paraphrase(encode: Encode, paths: list[Path]) -> dict[str, float]:
    """Average precision and best F1 of mined paraphrases, with the defaults of sentence-transformers."""
    gold = [tuple(map(int, line.split("\t"))) for line in lines(paths[1])]
    mined = lightmine.mine_paraphrases(encode(lines(paths[0])), top_k=100, max_pairs=500_000, threshold=None)
    quality = evaluate.paraphrase_mining(mined.left, mined.right, mined.score, gold)
    return dataclasses.asdict(quality)


def tasks(languages: Sequence[str] = tuple(LANGUAGES)) -> Iterator[Task]:
    """Every measurement of these languages, in the order of the table."""
    others = [language for language in languages if language != "en"]
    for two in others:
        code = LANGUAGES[two][0]
        files = (f"tatoeba/tatoeba.{code}-eng.{code}", f"tatoeba/tatoeba.{code}-eng.eng")
        yield Task("Tatoeba", two, retrieval, files)
    flores = {two: f"flores/{LANGUAGES[two][1]}.devtest" for two in LANGUAGES if LANGUAGES[two][1] != "-"}
    for two in others:
        if two in flores:
            yield Task("FLORES", two, retrieval, (flores[two], flores["en"]))
    if len(others) > len(FIRST):
        for two in [two for two in others if two in flores]:
            rest = (file for other, file in flores.items() if other not in (two, "en"))
            yield Task("FLORES, between others", two, between, (flores[two], *rest))
        for two in MEDICAL:
            yield Task("TICO-19", two, columns, (f"tico19/en-{two}.tsv.gz",))
    for two in [two for two in others if two in NEWS]:
        yield Task(
            "BUCC-style", two, bitext, tuple(f"bucc_style/{two}-en.{end}" for end in (two, "en", "gold"))
        )
    for two in [two for two in languages if two in FIRST]:
        yield Task("STS-b", two, similarity, (f"stsb/stsb-{two}-test.csv",))
    for two in [two for two in languages if LANGUAGES[two][2] != "-"]:
        code = LANGUAGES[two][2]
        yield Task("paraphrase", two, paraphrase, (f"paraphrase/{code}.txt", f"paraphrase/{code}.gold.tsv"))


def more_tasks(data: Path) -> Iterator[Task]:
    """Tatoeba's other languages, as many as there are: what the default model does with them."""
    card = {codes[0] for codes in LANGUAGES.values()}
    for path in sorted(data.glob("tatoeba/tatoeba.*-eng.eng")):
        code = path.name.split(".")[1].removesuffix("-eng")
        if code not in card:
            yield Task(
                "Tatoeba", code, retrieval, (f"tatoeba/tatoeba.{code}-eng.{code}", f"tatoeba/{path.name}")
            )


def runnable(data: Path, todo: Iterable[Task]) -> list[Task]:
    """The tasks whose files are there; a line on stderr for every set that is not whole."""
    found: list[Task] = []
    skipped: dict[str, list[Task]] = {}
    for task in todo:
        if task.absent(data):
            skipped.setdefault(task.set, []).append(task)
        else:
            found.append(task)
    for name, absent in skipped.items():
        languages = " ".join(task.language for task in absent)
        print(f"skipped {name} ({languages}): no {absent[0].absent(data)[0]}", file=sys.stderr)
    return found


def evaluate_model(
    encoder: lightmine.Encoder, data: Path, todo: Sequence[Task], truncate_dim: int | None = None
) -> dict[str, Any]:
    """All figures of one model, and which model it was."""
    started = time.perf_counter()
    encode = functools.partial(encoder.encode, truncate_dim=truncate_dim)
    figures = [task.run(encode, data) for task in todo]
    manifest = encoder.manifest
    return {
        "name": manifest.name,
        "precision": manifest.precision,
        "dimension": truncate_dim or manifest.dimension,
        "files": manifest.files,  # the hashes tell which model was measured
        "figures": figures,
        "seconds": round(time.perf_counter() - started, 1),
    }


def table(results: dict[str, Any]) -> str:
    """The card's languages as a markdown table, in per cent; a dash where a model was not measured."""
    models = list(results["models"])
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for name in models:
        for row in results["models"][name]["figures"]:
            if row["language"] not in LANGUAGES:
                continue
            for label, value in _shown(row).items():
                cells.setdefault((row["set"], label, row["language"]), {})[name] = value
    head = ["set", "measure", "language", *models]
    body = [[*key, *(values.get(name, "–") for name in models)] for key, values in cells.items()]
    rule = ["---", "---", "---", *("---:" for _ in models)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """The figures of one row that the table shows."""
    if "to_english" in row:
        both = f"{100 * row['to_english']:.1f} / {100 * row['from_english']:.1f}"
        return {"accuracy@1 to / from English": both}
    if "least" in row:
        return {"accuracy@1, mean / least": f"{100 * row['mean']:.1f} / {100 * row['least']:.1f}"}
    if "spearman" in row:
        return {"Spearman": f"{100 * row['spearman']:.1f}"}
    best = f"{100 * row['f1']:.1f}"
    if row["set"] == "paraphrase":
        return {"AP / best F1": f"{100 * row['average_precision']:.1f} / {best}"}
    return {"best F1 (threshold)": f"{best} ({row['threshold']:.3f})"}


def named(model: str) -> tuple[str, str | None]:
    """`NAME=PATH`, a path, `default` for the model that lightmine brings, `minilm` for all-MiniLM-L6-v2."""
    name, _, path = model.rpartition("=")
    if path == "minilm":
        return name or "all-MiniLM-L6-v2", str(minilm_bundle(WORK))
    if path == "default":
        return name or "default", None
    return name or Path(path).name, path


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the JSON, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the sets")
    parser.add_argument(
        "--model", action="append", help="[NAME=]PATH of a bundle, `default` or `minilm`; repeatable"
    )
    parser.add_argument(
        "--all", action="store_true", help="every language for every model, not the default's alone"
    )
    parser.add_argument(
        "--truncate-dim", type=int, action="append", metavar="N",
        help="measure the first N numbers of every vector too; repeatable",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="where the results go; other models' results in it stay")
    parser.add_argument("--table", type=Path, help="print the table of a results file and stop")
    options = parser.parse_args(argv)
    if options.table:
        print(table(json.loads(options.table.read_text(encoding="utf-8"))))
        return
    results: dict[str, Any] = {"models": {}}
    if options.json and options.json.exists():
        results = json.loads(options.json.read_text(encoding="utf-8"))
    for name, path in map(named, options.model or ["default"]):
        encoder = lightmine.Encoder.load(path)
        whole = path is None or options.all
        known = encoder.manifest.languages or FIRST
        first = [language for language in FIRST if language in known]
        todo = [*tasks(), *more_tasks(options.data)] if whole else tasks(first)
        results["models"][name] = evaluate_model(encoder, options.data, runnable(options.data, todo))
        for size in options.truncate_dim if whole and options.truncate_dim else ():
            found = evaluate_model(encoder, options.data, runnable(options.data, tasks(FIRST)), size)
            results.setdefault("prefixes", {}).setdefault(name, {})[str(size)] = found["figures"]
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
