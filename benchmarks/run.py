"""Time and peak memory beside the peers, on real sentences, one process a run.

    python -m benchmarks.run --data ../shared/data [--work FOLDER] [--rounds 3] [--only paraphrase]

Contestants alternate within a round, so that a machine's drift meets them alike; medians are kept.
Answers are compared with lightmine's. Results go to benchmarks/results/run.json, and the tables
made from it into the README and docs/reports/benchmarks.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import inputs, tables

RESULTS = Path(__file__).parent / "results" / "run.json"


@dataclasses.dataclass(frozen=True)
class Job:
    """One task on one input, and who does it."""

    name: str
    task: str
    options: dict[str, Any]
    contestants: tuple[str, ...]
    rounds: int = 3


def jobs(files: inputs.Inputs, rounds: int) -> list[Job]:
    """Everything that is measured."""
    beside_torch, beside_faiss = ("lightmine", "sentence_transformers"), ("lightmine", "faiss")
    found = []
    for rows in (30_000, 100_000):
        # A peer takes minutes a run at the larger size.
        rounds = rounds if rows < 100_000 else max(1, rounds - 1)
        x = {"x": str(files.minilm), "rows": rows}
        found += [
            Job(f"paraphrase {rows:,}, top_k 100, max_pairs 500,000", "paraphrase",
                x | {"top_k": 100, "max_pairs": 500_000}, beside_torch, rounds),
            Job(f"paraphrase {rows:,}, top_k 10, max_pairs 100,000", "paraphrase",
                x | {"top_k": 10, "max_pairs": 100_000}, beside_torch, rounds),
            Job(f"pairs over 0.8, {rows:,}", "paraphrase",
                x | {"top_k": None, "max_pairs": None, "threshold": 0.8}, beside_faiss, rounds),
            Job(f"pairs over 0.8, {rows:,}, NumPy engine", "paraphrase",
                x | {"top_k": None, "max_pairs": None, "threshold": 0.8},
                ("lightmine_numpy", "faiss"), rounds),
            Job(f"neighbours of {rows:,}, k 10", "neighbors", x | {"k": 10}, beside_faiss, rounds),
        ]  # fmt: skip
    static = {"x": str(files.static_left), "y": str(files.static_right), "k": 4}
    found.append(
        Job(
            "neighbours both ways, 100,000 x 100,000, k 4",
            "both_directions",
            static,
            beside_faiss,
            rounds,
        )
    )
    texts = {"texts": str(files.mixed_texts)}
    found += [
        Job("encode 4,000 sentences, all-MiniLM-L6-v2", "encode", texts | {"model": None},
            beside_torch, rounds),
        Job("encode 100,000 sentences, default model", "encode",
            {"texts": str(files.texts), "model": None}, ("lightmine",), rounds),
    ]  # fmt: skip
    return found


def large_jobs(files: inputs.Inputs, vectors: Path) -> list[Job]:
    """How time grows with the number of sentences, on one set of vectors; lightmine alone.

    An English model puts sentences of languages it never saw close together: over a bare threshold of 0.8
    there are four million pairs among 100,000 of these and 36 times as many among 600,000.
    """
    options = {"x": str(vectors), "top_k": 100, "max_pairs": 500_000, "threshold": 0.8}
    return [
        Job(
            f"growth: the best 500,000 over 0.8 of {rows:,}",
            "paraphrase",
            options | {"rows": rows},
            ("lightmine",),
            rounds,
        )
        for rows, rounds in ((10_000, 3), (30_000, 3), (100_000, 3), (300_000, 1), (600_000, 1))
    ]


def measure(job: Job, files: inputs.Inputs) -> dict[str, Any]:
    """Run a job's contestants in turn; medians, and how far the answers agree."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in job.contestants}
    with tempfile.TemporaryDirectory() as folder:
        saved = {name: Path(folder) / f"{name}.npz" for name in job.contestants}
        for _ in range(job.rounds):
            for name in job.contestants:
                options = job.options
                if "MiniLM" in job.name:
                    options = options | {"model": str(files.models[name])}
                runs[name].append(one_run(name, job.task, options, saved[name]))
        answers = {name: dict(np.load(path)) for name, path in saved.items()}
    rows = []
    for name, measured in runs.items():
        seconds = [run["seconds"] for run in measured]
        rows.append({
            "contestant": name, "version": measured[0]["version"],
            "seconds": statistics.median(seconds), "all_seconds": seconds,
            "peak_beyond_input": max(run["peak_beyond_input"] for run in measured),
            "agreement": agreement(job.task, answers[job.contestants[0]], answers[name]),
        })  # fmt: skip
        print(f"{job.name}: {name} {rows[-1]['seconds']:.2f} s, {rows[-1]['agreement']}", file=sys.stderr)
    return {"job": job.name, "task": job.task, "results": rows}


def one_run(name: str, task: str, options: dict[str, Any], saved: Path) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.worker",
        name,
        task,
        json.dumps(options),
        "--save",
        str(saved),
    ]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def agreement(task: str, ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """How two answers compare; float32 kernels round their scores in other ways, ours rounds once."""
    if task == "encode":
        return {"min_cosine": float((ours["vectors"] * theirs["vectors"]).sum(axis=1).min())}
    if task == "paraphrase":
        pairs = [set(zip(a["left"].tolist(), a["right"].tolist(), strict=True)) for a in (ours, theirs)]
        common = len(pairs[0] & pairs[1])
        return {"pairs": len(pairs[1]), "missing": len(pairs[0]) - common, "extra": len(pairs[1]) - common}
    index, own = theirs["index"], ours["index"]
    if index.shape[1] > own.shape[1]:  # the peer finds each row itself, nearly always first
        keep = index != np.arange(len(index))[:, None]
        keep &= np.cumsum(keep, axis=1) <= own.shape[1]
        index = np.where(keep.sum(axis=1, keepdims=True) == own.shape[1], index, -1)[keep].reshape(own.shape)
    return {"same_neighbours": float((np.sort(index) == np.sort(own)).mean())}


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = dict(line.split("\t: ", 1) for line in lines if "\t: " in line)
    facts = {name.strip(): value for name, value in facts.items()}
    flags = set(facts.get("flags", "").split())
    return {
        "processor": facts.get("model name", platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "features": sorted(flags & {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "avx512_bf16"}),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "lightmine-benchmarks")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="also up to 600,000 sentences")
    parser.add_argument("--only", help="only jobs whose name holds this")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(
            f"{arguments.data}: no such folder; --data names it (docs/reports/benchmarks.md has its source)"
        )
    files = inputs.prepare(arguments.data, arguments.work)
    wanted = jobs(files, arguments.rounds)
    if arguments.large:
        wanted += large_jobs(files, inputs.prepare_large(arguments.data, arguments.work, files))
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"jobs": []}
    measured = {entry["job"]: entry for entry in known["jobs"]}
    for job in wanted:
        if not arguments.only or arguments.only in job.name:
            measured[job.name] = measure(job, files) | {"machine": machine()}
            RESULTS.write_text(json.dumps({"jobs": list(measured.values())}, indent=1) + "\n")
    tables.write()


if __name__ == "__main__":
    main()
