"""Tables in the documents, made from the results that runs left.

python -m benchmarks.tables
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from benchmarks import default_threshold, quality_tables, soak

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/run.json"
ENCODING = ROOT / "benchmarks/results/encode.json"
SIZES = ROOT / "benchmarks/results/installed_size.json"
PRECISIONS = ROOT / "benchmarks/results/precisions.json"
PROFILE = ROOT / "benchmarks/results/profile.json"
FAULTS = ROOT / "benchmarks/results/faults.json"
# What the documents call the parts of a profile, where the results have an older name.
PARTS = {
    "guess the floor": "estimate of the least score",
    "order, seeds, twins": "row order, warm start, compressed rows",
    "the one score": "exact scores",
}
NAMES = {
    "lightmine": "lightmine",
    "sentence_transformers": "sentence-transformers",
    "faiss": "FAISS",
    "lightmine_numpy": "lightmine",
    # Its results stay until they are measured again.
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
    made |= quality_tables.made() | default_threshold.made() | precisions() | reliability()
    if ENCODING.exists():
        found = json.loads(ENCODING.read_text())
        made["encoding_machine"] = machine(found["machine"])
        if "rows" in found:
            made["encoding"] = encoding(found["rows"])
        if "one_thread" in found:
            made["one_thread"] = one_thread(found["one_thread"])
        if "sweep" in found:
            made["sweep"] = sweep(found["sweep"])
    if SIZES.exists():
        found = json.loads(SIZES.read_text())
        made["size"] = size(found["sets"])
        made["size_system"] = found["system"] + "."
    documents = [
        ROOT / "README.md",
        *sorted(ROOT.glob("docs/**/*.md")),
        *sorted(ROOT.glob("models/*/README.md")),
    ]
    for path in documents:
        path.write_text(renewed(path.read_text(encoding="utf-8"), made), encoding="utf-8")


def machine(facts: dict[str, Any]) -> str:
    """Where the figures come from, in one line."""
    features = ", ".join(facts["features"])
    software = f"Python {facts['python']}, NumPy {facts['numpy']}"
    return f"{facts['processor']}, {facts['cores']} cores ({features}); {software}."


def size(sets: dict[str, list[dict[str, Any]]]) -> str:
    """Packages and megabytes of each set of wheels, and what weighs most in it."""
    lines = ["| install | packages | download, MB | installed, MB | of that |", "|---|---:|---:|---:|---|"]
    for name, wheels in sets.items():
        packed, unpacked = (sum(wheel[kind] for wheel in wheels) / 1e6 for kind in ("packed", "unpacked"))
        most = ", ".join(f"{wheel['name']} {wheel['unpacked'] / 1e6:,.0f}" for wheel in wheels[:3])
        lines.append(f"| {name} | {len(wheels)} | {packed:,.0f} | {unpacked:,.0f} | {most} |")
    return "\n".join(lines)


def reliability() -> dict[str, str]:
    """Faults injected and what came of them, and the figures of long runs."""
    made = {}
    if FAULTS.exists():
        made["faults"] = faults(json.loads(FAULTS.read_text())["faults"])
    if soak.RESULTS.exists():
        made["soak"] = soak.table(json.loads(soak.RESULTS.read_text()))
    return made


def faults(found: list[dict[str, Any]]) -> str:
    """What was injected, how often, and what came of it."""
    lines = ["| fault | how | times | outcome |", "|---|---|---:|---|"]
    for each in found:
        injected = each["injected"].replace("|", "\\|")
        outcome = "; ".join(each["failed"]) or each["outcome"]
        lines.append(f"| {each['fault']} | {injected} | {each['times']} | {outcome} |")
    return "\n".join(lines)


def profile(found: dict[str, Any]) -> str:
    """Thread time by part, a job a column."""
    jobs = found["jobs"]
    rows: list[tuple[str, list[str]]] = [
        ("seconds", [f"{job['seconds']:.1f}" for job in jobs.values()]),
        ("pairs a second", [f"{job['pairs_a_second'] / 1e9:.2f} billion" for job in jobs.values()]),
    ]
    if any("components" in job or "depths" in job for job in jobs.values()):
        rows.append((
            "components multiplied" if "kernel" in found else "share of pairs: coordinates multiplied",
            [components(job) for job in jobs.values()],
        ))  # fmt: skip
    parts = next(iter(jobs.values()))["share_of_thread_time"]
    rows += [
        (PARTS.get(part, part), [f"{100 * job['share_of_thread_time'][part]:.0f} %" for job in jobs.values()])
        for part in parts
    ]
    # Results of earlier engines lack some of these.
    for name, key, form in (
        ("pairs scored in float32", "pairs_scored_in_float32", ",.0f"),
        ("pairs scored exactly", "pairs_scored_exactly", ",.0f"),
        ("pairs offered to the selection", "pairs_offered", ",.0f"),
        ("product, ps of a thread a pair", "product_picoseconds_a_pair", ".0f"),
        ("product alone, ps", "best_product_picoseconds_a_pair", ".0f"),
    ):
        if all(key in job for job in jobs.values()):
            rows.append((name, [format(job[key], form) for job in jobs.values()]))
    head = f"{found['rows']:,} sentences" + (f", {found['kernel']}" if "kernel" in found else "")
    lines = [f"| {head} | " + " | ".join(jobs) + " |", "|---" * (len(jobs) + 1) + "|"]
    return "\n".join(lines + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows])


def components(job: dict[str, Any]) -> str:
    """How many components a job multiplied; for which share of pairs, in results of the engine before."""
    if "depths" in job:
        return ", ".join(f"{100 * share:.0f} %: {count}" for count, share in job["depths"].items())
    return str(job.get("components", ""))


def encoding(rows: list[dict[str, Any]]) -> str:
    """Speed, likeness, cold start and memory of every way to encode; the first row is the measure."""
    lines = ["| encoder | sentences/s | speed | cosine, mean | cosine, min | first vector | peak memory |",
             "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for row in rows:
        likeness = [down(row["cosine"][name], 5) if row["cosine"] else "" for name in ("mean", "min")]
        speed = rows[0]["seconds"] / row["seconds"]
        lines.append(
            f"| {row['row']} | {row['sentences_a_second']:,.0f} | **{speed:.2f}** "
            f"| {likeness[0]} | {likeness[1]} | {row['cold_start']:.2f} s "
            f"| {row['peak'] / 2**20:,.0f} MiB |"
        )
    return "\n".join(lines)


def precisions() -> dict[str, str]:
    """Size, likeness and speed of every bundle that the exporter makes; the first speed is the measure."""
    if not PRECISIONS.exists():
        return {}
    found = json.loads(PRECISIONS.read_text())
    lines = ["| bundle; provider | MB | cosine, mean | cosine, min | 10 nearest that agree | STS-b | "
             "change by other sentences | speed |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    times = {row["row"]: row["seconds"] for row in found.get("speed", [])}
    for row in found["accuracy"]:
        seconds = times.get(row["row"])
        sts = f"{row['spearman']:.2f}" if "spearman" in row else ""
        speed = f"**{next(iter(times.values())) / seconds:.2f}**" if seconds else ""
        lines.append(
            f"| {row['row']} | {row['megabytes']:.1f} | {down(row['cosine_mean'], 5)} "
            f"| {down(row['cosine_min'], 5)} | {100 * row['neighbours']:.1f} % | {sts} "
            f"| {row['batch_change']:.0e} | {speed} |"
        )
    source = found["accuracy"][0].get("source_spearman", "")
    first = next(iter(times), "sentence-transformers torch, fp32")
    lines.append(f"| {first} | | | | | {source and round(source, 2)} | | {'**1.00**' if times else ''} |")
    where = {"precisions_machine": "Speeds: " + machine(found["machine"])} if "machine" in found else {}
    return {"precisions": "\n".join(lines)} | where


def one_thread(rows: list[dict[str, Any]]) -> str:
    """A thread's processor time for a sentence, and how many times less than the first row's."""
    lines = ["| encoder | ms of a thread a sentence | speed | cosine, mean | cosine, min |",
             "|---|---:|---:|---:|---:|"]  # fmt: skip
    for row in rows:
        likeness = [down(row["cosine"][name], 5) if row["cosine"] else "" for name in ("mean", "min")]
        speed = rows[0]["seconds"] / row["seconds"]
        lines.append(
            f"| {row['row']} | {1e3 * row['seconds'] / row['sentences']:.2f} | **{speed:.2f}** "
            f"| {likeness[0]} | {likeness[1]} |"
        )
    return "\n".join(lines)


def down(value: float, digits: int) -> str:
    """A figure with the rest cut, so that 0.999999 does not read 1.

    >>> down(0.999999, 5)
    '0.99999'
    """
    return f"{math.floor(value * 10**digits + 1e-9) / 10**digits:.{digits}f}"


def sweep(found: list[dict[str, Any]]) -> str:
    """Seconds of every setting beside the best of its row."""
    tokens = sorted({entry["batch_tokens"] for entry in found})
    lines = ["| encoder | workers | " + " | ".join(f"{count:,} tokens" for count in tokens) + " |",
             "|---|---:" + "|---:" * len(tokens) + "|"]  # fmt: skip
    best = {
        label: min(entry["seconds"] for entry in found if entry["row"] == label)
        for label in {entry["row"] for entry in found}
    }
    for label, workers in dict.fromkeys((entry["row"], entry["workers"]) for entry in found):
        cells = [
            f"{entry['seconds'] / best[label]:.2f}"
            for entry in sorted(found, key=lambda entry: int(entry["batch_tokens"]))
            if (entry["row"], entry["workers"]) == (label, workers)
        ]
        lines.append(f"| {label} | {workers} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def headline(name: str) -> bool:
    return "30,000" not in name and not name.startswith("growth")


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
