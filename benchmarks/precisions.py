"""The exporter's precisions on all-MiniLM-L6-v2: size, closeness to the source, speed; written as JSON.

    python -m benchmarks.precisions --data ../shared/data [--bundles FOLDER] [--only accuracy]

Every bundle is exported anew (or taken from FOLDER, where an earlier run left it) and measured by the gate on
real sentences of 3 to 60 words and on the STS benchmark; then all are timed in turns with
sentence-transformers, the median of the rounds is kept. Results go to benchmarks/results/precisions.json,
and the table made from it into docs/reports/benchmarks.md. A run of one part leaves the other part's results.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from benchmarks import tables
from benchmarks.inputs import mixed
from benchmarks.run import machine
from lightmine import Encoder
from lightmine.errors import LightmineError
from lightmine.export import gate
from lightmine.export.check import Check, size_of
from lightmine.export.export import export_bundle
from lightmine.export.recipe import Recipe
from tests import minilm

RESULTS = Path(__file__).parent / "results" / "precisions.json"
SOURCE = "sentence-transformers torch, fp32"
PARTS = ("accuracy", "speed")
# What is exported here is measured, not judged.
ANYTHING = {"cosine_mean": -1.0, "cosine_min": -1.0, "neighbours": 0.0}


@dataclasses.dataclass(frozen=True)
class Row:
    """A bundle and who runs it: a line of the table."""

    recipe: Recipe
    provider: str = "cpu"
    options: tuple[tuple[str, str], ...] = ()

    @property
    def bundle(self) -> str:
        levels = {"basic": "", "fused": ", fused"}[self.recipe.optimize]
        target = "" if self.recipe.precision == "fp32" else f", {self.recipe.target}"
        return self.recipe.precision + levels + target

    @property
    def label(self) -> str:
        return f"{self.bundle}; {self.provider}"


FULL_PRECISION = (("INFERENCE_PRECISION_HINT", "f32"),)
ROWS = (
    Row(Recipe(optimize="fused")),
    Row(Recipe(precision="int8")),
    Row(Recipe(precision="int8", target="vnni")),
    Row(Recipe(precision="int8-fast")),
    Row(Recipe(precision="int8-fast", target="vnni")),
    Row(Recipe(precision="int8-static", target="vnni")),
    Row(Recipe(), "openvino", FULL_PRECISION),
    Row(Recipe(precision="int8-static", target="vnni"), "openvino", FULL_PRECISION),
)


def main() -> None:
    """Export, measure, time, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=1_000, help="sentences of the accuracy")
    parser.add_argument("--timed", type=int, default=3_600, help="sentences of the speed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bundles", type=Path, help="where bundles are kept, and taken from")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    parts = (options.only,) if options.only else PARTS
    source = SentenceTransformer(str(minilm.model_folder()), device="cpu")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.bundles or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        encoders = dict(filter(None, (opened(row, folder) for row in ROWS)))
        found = json.loads(options.out.read_text()) if options.out.exists() else {}
        if "accuracy" in parts:
            found["accuracy"] = accuracies(encoders, folder, source, options.data, options.count)
        if "speed" in parts:
            found["speed"] = speeds(encoders, source, mixed(options.data, options.timed), options.rounds)
            found["machine"] = machine()
    options.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.out == RESULTS:
        tables.write()


def opened(row: Row, folder: Path) -> tuple[Row, Encoder] | None:
    """The row's bundle, exported where it is not there yet, in its provider; none where that is missing."""
    out = folder / row.bundle
    if not out.exists():
        print("exporting", row.bundle, flush=True)
        export_bundle(minilm.model_folder(), out, recipe=row.recipe, check=Check(require=ANYTHING))
    try:
        return row, Encoder.load(out, provider=row.provider, provider_options=dict(row.options) or None)
    except LightmineError as error:
        print(f"{row.label} left out: {error}", flush=True)
        return None


def accuracies(
    encoders: dict[Row, Encoder], folder: Path, source: SentenceTransformer, data: Path, count: int
) -> list[dict[str, Any]]:
    """What the gate finds for each, and the megabytes."""

    @functools.cache
    def rows_of(sentences: tuple[str, ...]) -> np.ndarray:
        return np.asarray(source.encode(list(sentences)))

    sentences = mixed(data, count)
    found = []
    for row, encoder in encoders.items():
        figures = gate.measure(
            gate.runner(encoder),
            lambda some: rows_of(tuple(some)),
            sentences=sentences,
            against=SOURCE,
            many=encoder.encode,
            sts=data / "stsb" / "stsb-en-test.csv",
        )
        megabytes = size_of(folder / row.bundle, encoder.manifest) / 1e6
        found.append({"row": row.label} | figures.as_dict() | {"megabytes": round(megabytes, 1)})
        print(f"{row.label}: {figures.cosine_mean:.5f} {figures.cosine_min:.5f}", flush=True)
    return found


def speeds(
    encoders: dict[Row, Encoder], source: SentenceTransformer, sentences: list[str], rounds: int
) -> list[dict[str, Any]]:
    """Seconds of every round, the contestants in turns; the source first."""
    runs: dict[str, Callable[[list[str]], Any]] = {SOURCE: source.encode}
    runs |= {row.label: encoder.encode for row, encoder in encoders.items()}
    times: dict[str, list[float]] = {label: [] for label in runs}
    for run in runs.values():
        run(sentences[:64])
    for number in range(rounds):
        for label, run in runs.items():
            start = time.perf_counter()
            run(sentences)
            times[label].append(round(time.perf_counter() - start, 3))
        print(f"round {number + 1} of {rounds}", flush=True)
    return [
        {"row": label, "sentences": len(sentences), "seconds": statistics.median(taken), "rounds": taken}
        for label, taken in times.items()
    ]


if __name__ == "__main__":
    main()
