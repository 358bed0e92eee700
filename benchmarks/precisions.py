"""The exporter's precisions on all-MiniLM-L6-v2: size, closeness to the source, speed; written as JSON.

::

    python -m benchmarks.precisions --data ../shared/data

Every bundle is exported anew, measured by the gate on real sentences of 3 to 60 words and on the STS
benchmark, and timed in turns with sentence-transformers, its rounds and theirs alternating.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from benchmarks.inputs import mixed
from export_scripts import gate
from export_scripts.check import Check
from export_scripts.export import export_bundle
from export_scripts.recipe import Recipe
from lightmine import Encoder
from tests import minilm

BUNDLES = {
    "fp32 fused": ("cpu", Recipe(optimize="fused")),
    "fp32": ("cpu", Recipe()),
    "int8": ("cpu", Recipe(precision="int8")),
    "int8, vnni": ("cpu", Recipe(precision="int8", target="vnni")),
    "int8-fast": ("cpu", Recipe(precision="int8-fast")),
    "int8-fast, vnni": ("cpu", Recipe(precision="int8-fast", target="vnni")),
    "int8-static, vnni": ("openvino", Recipe(precision="int8-static", target="vnni")),
}
LOOSE = {"cosine_mean": 0.9, "cosine_min": 0.8, "neighbours": 0.5}


def main() -> None:
    """Export, measure, time, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=3_600, help="sentences")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/precisions.json"))
    options = parser.parse_args()
    sentences = mixed(options.data, options.count)
    sts = options.data / "stsb" / "stsb-en-test.csv"
    source = SentenceTransformer(str(minilm.model_folder()), device="cpu")

    def reference(some: list[str]) -> np.ndarray:
        return np.asarray(source.encode(list(some)))

    found = {}
    encoders = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (provider, recipe) in BUNDLES.items():
            out = Path(scratch) / name
            manifest = export_bundle(minilm.model_folder(), out, recipe=recipe, check=Check(require=LOOSE))
            try:
                encoder = Encoder.load(out, provider=provider)
            except Exception as error:  # the provider is not for this machine: say so and go on
                found[name] = {"skipped": str(error).splitlines()[0]}
                print(f"{name}: {found[name]['skipped']}", flush=True)
                continue
            figures = gate.measure(
                gate.runner(encoder),
                reference,
                sentences=sentences,
                against="source",
                many=encoder.encode,
                sts=sts if sts.is_file() else None,
            )
            found[name] = figures.as_dict() | {
                "megabytes": manifest.parity["megabytes"],
                "provider": provider,
            }
            encoders[name] = encoder
            print(f"{name}: {figures.cosine_mean:.5f} {figures.cosine_min:.5f}", flush=True)
        times: dict[str, list[float]] = {"source": [], **{name: [] for name in encoders}}
        for _ in range(options.rounds):
            for name in times:
                start = time.perf_counter()
                reference(sentences) if name == "source" else encoders[name].encode(sentences)
                times[name].append(time.perf_counter() - start)
    base = statistics.median(times["source"])
    for name, taken in times.items():
        found.setdefault(name, {})["sentences_a_second"] = round(len(sentences) / statistics.median(taken), 1)
        found[name]["times_the_source"] = round(base / statistics.median(taken), 2)
    options.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, row in found.items():
        print(name, row.get("sentences_a_second"), row.get("times_the_source"))


if __name__ == "__main__":
    main()
