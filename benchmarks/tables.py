"""Tables in the documents, made from the results that runs left.

python -m benchmarks.tables
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/run.json"
NAMES = {
    "lightmine": "lightmine",
    "sentence_transformers": "sentence-transformers",
    "faiss": "FAISS",
    "lightmine_fp32": "lightmine",
}


def write() -> None:
    """Renew every table between ``<!-- table: NAME -->`` and ``<!-- end -->``."""
    jobs = json.loads(RESULTS.read_text())["jobs"]
    made = {"all": table(jobs), "headline": table([job for job in jobs if headline(job["job"])])}
    for path in (ROOT / "README.md", ROOT / "docs/benchmarks.md"):
        text = path.read_text(encoding="utf-8")
        path.write_text(renewed(text, made), encoding="utf-8")


def headline(name: str) -> bool:
    return "100,000" in name or "MiniLM" in name


def renewed(text: str, made: dict[str, str]) -> str:
    """A document with its tables replaced.

    >>> renewed("<!-- table: a -->old<!-- end -->", {"a": "new"})
    '<!-- table: a -->\\nnew\\n<!-- end -->'
    """
    return re.sub(
        r"<!-- table: (\w+) -->.*?<!-- end -->",
        lambda match: f"<!-- table: {match[1]} -->\n{made[match[1]]}\n<!-- end -->",
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
    return f"cosine ≥ {found['min_cosine']:.6f}"


if __name__ == "__main__":
    write()
