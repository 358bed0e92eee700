"""Tables in the documents, made from the results that runs left.

python -m benchmarks.tables
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from benchmarks import quality_tables

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/run.json"
PROFILE = ROOT / "benchmarks/results/profile.json"
NAMES = {
    "lightmine": "lightmine",
    "sentence_transformers": "sentence-transformers",
    "faiss": "FAISS",
    "lightmine_fp32": "lightmine",
}


def write() -> None:
    """Renew every table between ``<!-- table: NAME -->`` and ``<!-- end -->`` whose results are there."""
    made: dict[str, str] = {}
    if RESULTS.exists():
        jobs = json.loads(RESULTS.read_text())["jobs"]
        made = {"all": table(jobs), "headline": table([job for job in jobs if headline(job["job"])])}
        made["machine"] = machine(jobs[-1]["machine"])
    if PROFILE.exists():
        made["profile"] = profile(json.loads(PROFILE.read_text()))
    made |= quality_tables.made()
    documents = ("README.md", "docs/benchmarks.md", "docs/engine.md", "docs/results.md", "docs/bitext.md")
    for path in (ROOT / name for name in documents):
        path.write_text(renewed(path.read_text(encoding="utf-8"), made), encoding="utf-8")


def machine(facts: dict[str, Any]) -> str:
    """Where the figures come from, in one line."""
    features = ", ".join(facts["features"])
    software = f"Python {facts['python']}, NumPy {facts['numpy']}"
    return f"{facts['processor']}, {facts['cores']} cores ({features}); {software}."


def profile(found: dict[str, Any]) -> str:
    """Thread time by part, a job a column."""
    jobs = found["jobs"]
    rows: list[tuple[str, list[str]]] = [
        ("seconds", [f"{job['seconds']:.1f}" for job in jobs.values()]),
        ("pairs a second", [f"{job['pairs_a_second'] / 1e9:.2f} billion" for job in jobs.values()]),
        (
            "share of pairs: coordinates multiplied",
            [
                ", ".join(f"{100 * share:.0f} %: {depth}" for depth, share in job["depths"].items())
                for job in jobs.values()
            ],
        ),
    ]
    parts = next(iter(jobs.values()))["share_of_thread_time"]
    rows += [
        (part, [f"{100 * job['share_of_thread_time'][part]:.0f} %" for job in jobs.values()])
        for part in parts
    ]
    rows += [
        ("pairs scored in float32", [f"{job['pairs_scored_in_float32']:,}" for job in jobs.values()]),
        ("pairs scored exactly", [f"{job['pairs_scored_exactly']:,}" for job in jobs.values()]),
        (
            "product, ps of a thread a pair",
            [f"{job['product_picoseconds_a_pair']:.0f}" for job in jobs.values()],
        ),
        ("product alone, ps", [f"{job['best_product_picoseconds_a_pair']:.0f}" for job in jobs.values()]),
    ]
    lines = [f"| {found['rows']:,} sentences | " + " | ".join(jobs) + " |", "|---" * (len(jobs) + 1) + "|"]
    return "\n".join(lines + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows])


def headline(name: str) -> bool:
    return "20,000" not in name and not name.startswith("growth")


def renewed(text: str, made: dict[str, str]) -> str:
    """A document with its tables replaced.

    >>> renewed("<!-- table: a -->old<!-- end -->", {"a": "new"})
    '<!-- table: a -->\\nnew\\n<!-- end -->'
    """
    return re.sub(
        r"<!-- table: (\w+) -->.*?<!-- end -->",
        lambda match: (
            f"<!-- table: {match[1]} -->\n{made[match[1]]}\n<!-- end -->" if match[1] in made else match[0]
        ),
        text,
        flags=re.DOTALL,
    )


def table(jobs: list[dict[str, Any]]) -> str:
    """Seconds and peak memory of each contestant, and how many times sooner lightmine is."""
    lines = ["| job | contestant | seconds | lightmine is | memory beyond the input | same answer |",
             "|---|---|---:|---:|---:|---|"]  # fmt: skip
    for job in jobs:
        ours = job["results"][0]["seconds"]
        for result in job["results"]:
            name = result["contestant"]
            ratio = "" if name.startswith("lightmine") else f"**{result['seconds'] / ours:.1f} × faster**"
            job_name = job["job"] if name.startswith("lightmine") else ""
            lines.append(
                f"| {job_name} | {NAMES[name]} | {result['seconds']:.2f} | {ratio} "
                f"| {result['peak_beyond_input'] / 2**20:,.0f} MiB | {same(result)} |"
            )
    return "\n".join(lines)


def same(result: dict[str, Any]) -> str:
    found = result["agreement"]
    if result["contestant"].startswith("lightmine"):
        return f"{found['pairs']:,} pairs" if "pairs" in found else ""
    if "pairs" in found:
        return f"all but {found['missing']} pairs" if found["missing"] else "the same pairs"
    if "same_neighbours" in found:
        return f"{100 * found['same_neighbours']:.3f} % of neighbours"
    return f"cosine ≥ {math.floor(1e6 * found['min_cosine']) / 1e6:.6f}"


if __name__ == "__main__":
    write()
