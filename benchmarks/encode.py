"""Encoding beside the peers: speed, cosine to the source model, time to the first vector, peak memory.

    python -m benchmarks.encode --data ../shared/data [--work FOLDER] [--rounds 3] [--only int8] [--sweep]

Contestants alternate within a round, each run a process of its own; medians are kept. Peers that need an
environment of their own get one below the work folder, made once. Results go to
benchmarks/results/encode.json, and the tables made from it into the README and docs/reports/benchmarks.md.
`--sweep` measures batch and worker counts instead, `--one-thread` the processor time of one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import inputs, tables
from benchmarks.run import machine
from lightmine.loading.bundle import MODEL, TOKENIZER, read_manifest, write_manifest
from tests import minilm

RESULTS = Path(__file__).parent / "results" / "encode.json"
ROOT = Path(__file__).parents[1]
REFERENCE = "sentence-transformers torch, fp32"
# What each peer's environment holds; torch is pinned because a plain one brings gigabytes of CUDA.
ENVIRONMENTS = {
    "sentence_transformers_onnx": ("torch==2.13.0", "sentence-transformers[onnx]==5.7.0"),
    "sentence_transformers_openvino": ("torch==2.13.0", "sentence-transformers[openvino]==6.2.0"),
    "fastembed": ("fastembed==0.9.1",),
}
# nncf brings a torchvision that is made for another torch, and transformers then fails to import.
UNWANTED = {"sentence_transformers_openvino": "torchvision"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One way to encode: a line of the table."""

    label: str
    contestant: str
    model: str
    python: str = sys.executable
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def rows(files: inputs.Inputs, work: Path) -> list[Row]:
    """All that is measured; what does not install here is left out with a line."""
    source, bundle = str(minilm.model_folder()), str(files.models["lightmine"])
    int8 = str(int8_bundle(Path(bundle), work / "all-MiniLM-L6-v2-int8"))
    found = [
        Row(REFERENCE, "sentence_transformers", source),
        Row("lightmine cpu, fp32", "lightmine", bundle, options={"provider": "cpu"}),
        Row("lightmine cpu, int8, a sentence a run", "lightmine", int8, options={"provider": "cpu"}),
        Row("lightmine cpu, int8, fast", "lightmine", int8, options={"provider": "cpu", "fast": True}),
    ]
    if importlib.util.find_spec("onnxruntime_ep_openvino") or importlib.util.find_spec("openvino"):
        for hint in ("bf16", "f32"):
            options = {"INFERENCE_PRECISION_HINT": hint}
            found.append(
                Row(
                    f"lightmine openvino, {hint}", "lightmine", bundle,
                    options={"provider": "openvino", "provider_options": options},
                )
            )  # fmt: skip
    else:
        print("openvino is not installed: left out", file=sys.stderr)
    exported = work / "peers" / "onnx"
    for name, label in (
        ("sentence_transformers_onnx", "sentence-transformers onnx, fp32"),
        ("sentence_transformers_openvino", "sentence-transformers openvino"),
        ("fastembed", "fastembed, fp32"),
    ):
        try:
            python = environment(name, work / "environments")
            model = exported_model(name, python, source, exported, work / "peers")
        except subprocess.CalledProcessError as error:
            print(f"{label}: left out: {error}", file=sys.stderr)
            continue
        found.append(Row(label, name, str(model), str(python)))
    static = "lightmine default model, static"
    return [*found, Row(static, "lightmine", str(ROOT / "models/static-multilingual"))]


def int8_bundle(bundle: Path, out: Path) -> Path:
    """The same model with dynamic int8 products, a scale for each channel of the weights.

    Its embeddings stay as they are: with one scale for the whole table the worst sentence is at a cosine
    of 0.961, without at 0.975, and nothing is slower.
    """
    if out.is_dir():
        return out
    from onnxruntime.quantization import QuantType, quantize_dynamic

    scratch = Path(tempfile.mkdtemp(dir=out.parent))
    quantize_dynamic(
        bundle / MODEL, scratch / MODEL, per_channel=True, weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul"], extra_options={"DefaultTensorType": 1},
    )  # fmt: skip
    shutil.copy(bundle / TOKENIZER, scratch / TOKENIZER)
    manifest = read_manifest(bundle)
    recipe = "onnxruntime quantize_dynamic, MatMul, per channel"
    write_manifest(
        scratch,
        dataclasses.replace(manifest, precision="int8", batch="independent", recipe=recipe, parity={}),
    )
    scratch.rename(out)
    return out


def environment(name: str, folder: Path) -> Path:
    """A peer's own Python, made where it is not there yet."""
    place = folder / name
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        print(f"{name}: making its environment", file=sys.stderr)
        venv.create(place, with_pip=True)
        pip = [str(python), "-m", "pip"]
        subprocess.run([*pip, "install", "--quiet", *ENVIRONMENTS[name]], check=True)
        if unwanted := UNWANTED.get(name):
            subprocess.run([*pip, "uninstall", "--quiet", "--yes", unwanted], check=False)
        (place / "ready").touch()
    return python


def exported_model(name: str, python: Path, source: str, onnx: Path, folder: Path) -> Path:
    """The peer's own form of the model, on disk."""
    if name == "fastembed":
        # It wants the graph beside the tokenizer; sentence-transformers' own export is what it takes.
        out = folder / name
        if not out.is_dir():
            shutil.copytree(onnx, out)
            shutil.copy(onnx / "onnx" / "model.onnx", out / "model.onnx")
        return out
    out = folder / name.removeprefix("sentence_transformers_")
    if not out.is_dir():
        command = [str(python), "-m", f"benchmarks.contestants.{name}", source, str(out)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return out


def run(row: Row, texts: Path, saved: Path, count: int, **environment: str) -> dict[str, Any]:
    """One process: load, encode, leave the vectors in `saved`."""
    options = {"texts": str(texts), "model": row.model, "rows": count} | row.options
    command = [row.python, "-m", "benchmarks.worker", row.contestant, "encode", json.dumps(options)]
    start = time.time()
    command += ["--save", str(saved)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
        env=os.environ | environment,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result | {"from_start": result["finished"] - start}


def measure(wanted: list[Row], texts: Path, count: int, rounds: int) -> list[dict[str, Any]]:
    """All rows in turn, `rounds` times, and as often from a cold process to the first vector."""
    runs: dict[str, list[dict[str, Any]]] = {row.label: [] for row in wanted}
    cold: dict[str, list[float]] = {row.label: [] for row in wanted}
    vectors: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "vectors.npz"
        for number in range(rounds):
            for row in wanted:
                runs[row.label].append(run(row, texts, saved, count))
                vectors[row.label] = np.load(saved)["vectors"]
                cold[row.label].append(run(row, texts, saved, count=1)["from_start"])
                seconds = runs[row.label][-1]["seconds"]
                print(f"{number + 1}: {row.label}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return [
        {
            "row": row.label, "version": runs[row.label][0]["version"],
            "seconds": statistics.median(run["seconds"] for run in runs[row.label]),
            "all_seconds": [run["seconds"] for run in runs[row.label]],
            "thread_seconds": statistics.median(run["thread_seconds"] for run in runs[row.label]),
            "sentences_a_second": count / statistics.median(run["seconds"] for run in runs[row.label]),
            "cold_start": statistics.median(cold[row.label]),
            "peak": max(run["peak"] for run in runs[row.label]),
            "peak_beyond_input": max(run["peak_beyond_input"] for run in runs[row.label]),
            "cosine": cosines(vectors[REFERENCE], vectors[row.label]),
        }
        for row in wanted
    ]  # fmt: skip


def cosines(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float] | None:
    """Mean and least cosine to the source model; None for another model."""
    if ours.shape != theirs.shape:
        return None
    x, y = ours.astype(np.float64), theirs.astype(np.float64)
    found = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    return {"mean": float(found.mean()), "min": float(found.min())}


def one_thread(wanted: list[Row], texts: Path, count: int, rounds: int) -> list[dict[str, Any]]:
    """Processor time of one thread, which a busy machine changes little; torch and lightmine alone.

    The other peers' threads spin while they wait, so that their processor time says nothing.
    """
    times: dict[str, list[float]] = {}
    likeness = {}
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "vectors.npz"
        for _ in range(rounds):
            for row in (row for row in wanted if row.python == sys.executable):
                threads = {"threads": 1} if row.contestant == "lightmine" else {}
                single = dataclasses.replace(row, options=row.options | threads)
                found = run(single, texts, saved, count, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
                times.setdefault(row.label, []).append(found["thread_seconds"])
                vectors = np.load(saved)["vectors"]
                if row.label == REFERENCE:
                    reference = vectors
                likeness[row.label] = cosines(reference, vectors)
                print(f"{row.label}: {times[row.label][-1]:.2f} s of a thread", file=sys.stderr, flush=True)
    return [
        {"row": label, "seconds": statistics.median(found), "all_seconds": found, "sentences": count,
         "cosine": likeness[label]}
        for label, found in times.items()
    ]  # fmt: skip


def sweep(wanted: list[Row], texts: Path, count: int, rounds: int) -> list[dict[str, Any]]:
    """Seconds by batch and workers; every setting in turn within a round."""
    cores = len(os.sched_getaffinity(0))
    settings = [
        (row, tokens, workers)
        for row in wanted
        if row.contestant == "lightmine"
        for tokens in (128, 256, 512, 1024, 2048, 4096)
        for workers in sorted({1, cores, 2 * cores})
    ]
    seconds: dict[int, list[float]] = {place: [] for place in range(len(settings))}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for place, (row, tokens, workers) in enumerate(settings):
                options = row.options | {"batch_tokens": tokens, "threads": workers}
                changed = dataclasses.replace(row, options=options)
                seconds[place].append(run(changed, texts, Path(folder) / "v.npz", count)["seconds"])
    return [
        {"row": row.label, "batch_tokens": tokens, "workers": workers,
         "seconds": statistics.median(seconds[place]), "all_seconds": seconds[place]}
        for place, (row, tokens, workers) in enumerate(settings)
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "lightmine-benchmarks")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=4_000, help="of the mixed set, so many")
    parser.add_argument("--sweep", action="store_true", help="measure batch and worker counts instead")
    parser.add_argument("--one-thread", action="store_true", help="measure a thread's processor time instead")
    parser.add_argument("--only", default="", help="only rows whose label holds this (and the reference)")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(
            f"{arguments.data}: no such folder; --data names it (docs/reports/benchmarks.md has its source)"
        )
    files = inputs.prepare(arguments.data, arguments.work)
    wanted = [
        row
        for row in rows(files, arguments.work)
        if arguments.only in row.label or (row.label == REFERENCE and not arguments.sweep)
    ]
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.one_thread:
        known["one_thread"] = one_thread(wanted, files.mixed_texts, arguments.sentences, arguments.rounds)
    elif arguments.sweep:
        labels = {row.label for row in wanted}
        kept = [entry for entry in known.get("sweep", []) if entry["row"] not in labels]
        known["sweep"] = kept + sweep(wanted, files.mixed_texts, arguments.sentences, arguments.rounds)
    else:
        known["rows"] = measure(wanted, files.mixed_texts, arguments.sentences, arguments.rounds)
        known["sentences"] = arguments.sentences
    known["machine"] = machine()
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    tables.write()


if __name__ == "__main__":
    main()
