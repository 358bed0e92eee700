"""Hours of use in minutes: what memory, handles and threads do, and whether the answers stay right.

    python -m benchmarks.soak                     # all three, as `make soak` runs them
    python -m benchmarks.soak lines --lines 1_000_000
    python -m benchmarks.soak jobs --jobs 200

Each part is a process of its own, and adds what it found to benchmarks/results/soak.json:

jobs     `lightmine paraphrase` and `lightmine bitext` again and again in one process, each loading the model,
         reading, encoding, mining and writing; every file is compared with the first of its kind
threads  one Encoder used by many threads at once, and the engine by as many; compared with serial answers
lines    millions of lines through `Encoder.stream`; rows are counted here, and sampled rows encoded again
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.worker import memory

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "soak.json"
PARTS = ("jobs", "threads", "lines")
# What memory may grow by after warming up, of what it was then.
GROWTH = 0.02
# Different corpora that jobs take in turn.
CORPORA = 10
# Two runs of one sentence in different batches differ by rounding alone (contract 6).
ROUNDING = 1e-6


def sentences() -> list[str]:
    """Some hundred sentences of our own, in two languages."""
    files = ("examples/questions.txt", "examples/english.txt", "examples/german.txt")
    return [line for name in files for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line]


def corpus(number: int, size: int) -> list[str]:
    """Distinct lines that resemble each other here and there; the same for the same number."""
    rng = np.random.default_rng(number)
    some = sentences()
    picked = rng.integers(0, len(some), (size, 2))
    return [f"{some[first]} {some[second]} {row % 97}" for row, (first, second) in enumerate(picked)]


def state() -> dict[str, int]:
    """The most resident bytes since the last call, and handles and threads now, as Linux counts them.

    The most, because what is resident at one moment depends on which buffers happen to be in use.
    """
    peak = memory("VmHWM")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew here
    return {
        "memory": peak,
        "handles": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }


def trend(states: list[dict[str, int]]) -> dict[str, Any]:
    """How the last tenth differs from the second tenth, the first being the warming up."""
    tenth = max(len(states) // 10, 1)
    before, after = states[tenth : 2 * tenth], states[-tenth:]
    tenths = [max(state["memory"] for state in states[start : start + tenth])
              for start in range(0, len(states) - tenth + 1, tenth)]  # fmt: skip
    first, last = (max(state["memory"] for state in part) for part in (before, after))
    settled = states[tenth:]
    return {
        "memory_after_warm_up": first,
        "memory_at_the_end": last,
        "memory_growth": last / first - 1,
        "memory_by_tenths": tenths,
        "handles": sorted({state["handles"] for state in settled}),
        "threads": sorted({state["threads"] for state in settled}),
    }


def soak_jobs(*, jobs: int, size: int = 300, threads: int | None = None) -> dict[str, Any]:
    """Mine again and again in this process, through the command line's own functions."""
    from lightmine.cli import cli

    more = ["--quiet"] if threads is None else ["--quiet", "--threads", str(threads)]
    seen: dict[str, str] = {}
    states, wrong = [], 0
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(CORPORA):
            lines = corpus(number, size)
            Path(scratch, f"{number}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        out = Path(scratch, "pairs.tsv")
        for job in range(jobs):
            number = job % CORPORA
            files = [f"{scratch}/{number}.txt", f"{scratch}/{(number + 1) % CORPORA}.txt"]
            for command in (["paraphrase", files[0], "--threshold", "0.7"], ["bitext", *files]):
                cli.main([*command, *more, "-o", str(out)], standalone_mode=False)
                digest = hashlib.sha256(out.read_bytes()).hexdigest()
                wrong += seen.setdefault(f"{command[0]} {number}", digest) != digest
            states.append(state())
    return {"jobs": jobs, "sentences": size, "seconds": time.perf_counter() - start, "wrong": wrong} | trend(
        states
    )


def soak_threads(*, threads: int, rounds: int, size: int = 400) -> dict[str, Any]:
    """One encoder and the engine, each used by all threads at once, against serial answers."""
    import lightmine

    encoder = lightmine.Encoder.load()
    # Every other corpus has a sentence that is cut, so that the counts of threads would show if they met.
    texts = [corpus(number, size) + (["long " * 2_000] if number % 2 else []) for number in range(threads)]
    vectors = [encoder.encode(lines) for lines in texts]

    def mined(x: Any) -> str:
        pairs = lightmine.mine_paraphrases(x, threshold=0.7, threads=2, memory_budget="64MiB")
        bitext = lightmine.mine_bitext(x[::2], x[1::2], k=3, threads=2, memory_budget="64MiB")
        return hashlib.sha256(
            b"".join(part.tobytes() for found in (pairs, bitext) for part in (found.left, found.score))
        ).hexdigest()

    expected = [mined(x) for x in vectors]
    barrier = threading.Barrier(threads)

    def use(number: int) -> tuple[int, float]:
        wrong, far = 0, 0.0
        for _ in range(rounds):
            barrier.wait()  # all begin together
            if number % 3 == 2:
                found = np.concatenate(list(encoder.stream(iter(texts[number]))))
            else:
                found = encoder.encode(texts[number])
            wrong += encoder.truncated != number % 2
            far = max(far, float(np.abs(found - vectors[number]).max()))
            wrong += mined(vectors[number]) != expected[number]
        return wrong, far

    before, start = state(), time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(use, range(threads)))
    seconds, after = time.perf_counter() - start, state()
    far = max(far for _, far in found)
    return {
        "threads": threads,
        "rounds": rounds,
        "sentences": size,
        "seconds": seconds,
        "wrong": sum(wrong for wrong, _ in found) + (far > ROUNDING),
        "furthest_from_serial": far,
        "handles": [before["handles"], after["handles"]],
        "process_threads": [before["threads"], after["threads"]],
    }


def soak_lines(*, lines: int, model: str | None = None) -> dict[str, Any]:
    """Lines without end through `Encoder.stream`: memory a block, rows counted, samples encoded again."""
    import lightmine

    encoder = lightmine.Encoder.load(model)
    some = sentences()

    def line(place: int) -> str:
        return f"{some[place % len(some)]} {some[place // len(some) % len(some)]} {place}"

    def all_lines() -> Iterator[str]:
        return map(line, itertools.islice(itertools.count(), lines))

    states, rows, samples = [], 0, []
    start = time.perf_counter()
    for block in encoder.stream(all_lines()):
        samples.append((rows + rows % len(block), block[rows % len(block)].copy()))
        rows += len(block)
        states.append(state())
        if sys.stderr.isatty() or len(states) % 50 == 0:
            rate = rows / (time.perf_counter() - start)
            print(f"{rows:,} of {lines:,} lines, {rate:,.0f} a second", file=sys.stderr)
    seconds = time.perf_counter() - start
    again = encoder.encode([line(place) for place, _ in samples])
    far = float(np.abs(again - np.stack([vector for _, vector in samples])).max())
    return {
        "lines": lines,
        "rows": rows,
        "seconds": seconds,
        "lines_a_second": lines / seconds,
        "wrong": abs(rows - lines) + (far > ROUNDING),
        "sampled_rows": len(samples),
        "furthest_from_alone": far,
    } | trend(states)


def verdict(part: str, found: dict[str, Any]) -> str:
    """What is not as it should be; empty where all is well."""
    faults = [f"{found['wrong']} wrong answers"] if found["wrong"] else []
    if part == "threads":
        kinds = ("handles", "process_threads")
        faults += [f"{what} grew: {found[what]}" for what in kinds if found[what][1] > found[what][0]]
        return ", ".join(faults)
    if found["memory_growth"] > GROWTH:
        faults.append(f"memory grew by {found['memory_growth']:.1%}")
    if part == "jobs":
        faults += [f"{what} varied: {found[what]}" for what in ("handles", "threads") if len(found[what]) > 1]
    return ", ".join(faults)


def table(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    rows = []
    for part in PARTS:
        if part not in results:
            continue
        found = results[part]
        if part == "threads":
            what = f"{found['threads']} threads, {found['rounds']} rounds each, one Encoder, one engine"
            grown = "not measured"
            kept = f"{found['handles'][1]}, {found['process_threads'][1]} (before: "
            kept += f"{found['handles'][0]}, {found['process_threads'][0]})"
        else:
            count = found["jobs"] if part == "jobs" else found["lines"]
            what = f"{count:,} " + ("mining jobs of two kinds" if part == "jobs" else "lines encoded")
            mib = [found[f"memory_{when}"] / 2**20 for when in ("after_warm_up", "at_the_end")]
            grown = f"{mib[0]:,.0f} to {mib[1]:,.0f} MiB ({found['memory_growth']:+.1%})"
            kept = ", ".join("/".join(map(str, found[what])) for what in ("handles", "threads"))
        rows.append(f"| {what} | {found['seconds']:,.0f} s | {grown} | {kept} | {found['wrong']} |")
    head = [
        "| what | time | peak memory, second tenth to last | handles, threads | wrong or lost |",
        "|---|---:|---|---|---:|",
    ]
    return "\n".join(head + rows)


def main() -> None:
    """Run the parts asked for, each in a process of its own, and say what failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="by default all of them")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--model", help="for lines, by default the model that comes with lightmine")
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--here", action="store_true", help="run in this process and print the figures")
    options = parser.parse_args()
    work: dict[str, Callable[[], dict[str, Any]]] = {
        "jobs": lambda: soak_jobs(jobs=options.jobs),
        "threads": lambda: soak_threads(threads=options.threads, rounds=options.rounds),
        "lines": lambda: soak_lines(lines=options.lines, model=options.model),
    }
    if options.here:
        print(json.dumps(work[options.parts[0]]()))
        return
    faults = {}
    for part in options.parts or PARTS:
        command = [sys.executable, "-m", "benchmarks.soak", part, "--here"]
        for name in ("jobs", "threads", "rounds", "lines", *(["model"] if options.model else [])):
            command += [f"--{name}", str(getattr(options, name))]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout)
        faults[part] = verdict(part, found)
        # Read again: parts may run at the same time.
        results = json.loads(options.json.read_text()) if options.json.exists() else {}
        found["system"] = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
        results[part] = found | {"verdict": faults[part] or "well"}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(f"{part}: {results[part]['verdict']}", file=sys.stderr)
    print(table(json.loads(options.json.read_text())))
    if any(faults.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
