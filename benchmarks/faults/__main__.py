"""Faults, injected into real runs of the command line: what is left, and whether the job can be resumed.

    python -m benchmarks.faults [--lines FILE] [--json benchmarks/results/faults.json]

Every output is compared byte for byte with that of an undisturbed run, and that one with the source lines,
read by code of its own. tests/test_faults.py runs the same on small files.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.faults import disk, machine, stops, store, streams
from benchmarks.faults.bench import ROOT, Bench, Outcome
from benchmarks.faults.sources import made_up

RESULTS = ROOT / "benchmarks/results/faults.json"


def faults(
    bench: Bench, wide: Path, times: int, rng: random.Random
) -> Iterator[Callable[[], Outcome | None]]:
    """All faults; slow ones are injected fewer times."""
    fewer = max(1, times // 4)
    terminal = (signal.SIGTERM, signal.SIGINT)
    yield lambda: stops.ended(bench, bench.encoding("killed.npy"), times, rng, signal.SIGKILL)
    yield lambda: stops.ended(bench, bench.encoding("stopped.npy"), times, rng, *terminal)
    yield lambda: stops.ended(bench, bench.mining, times, rng, signal.SIGKILL)
    yield lambda: stops.ended(bench, bench.mining, times, rng, *terminal)
    yield lambda: stops.killed_at_each_step(bench)
    yield lambda: disk.full(bench, fewer, rng)
    yield lambda: disk.full_of_pairs(bench)
    yield lambda: disk.full_tmpfs(bench)
    yield lambda: streams.unreadable(bench)
    yield lambda: streams.closed_pipe(bench)
    yield lambda: machine.little_memory(bench, wide)
    yield lambda: machine.jumping_clock(bench, fewer, rng)
    yield lambda: store.writers(bench, fewer)
    yield lambda: store.shared_cache(bench, fewer)
    yield lambda: store.damaged_cache(bench, times, rng)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=Path, help="one sentence a line; without it sentences are made up")
    parser.add_argument("--times", type=int, default=20, help="of each fault that is random")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    from tests.tiny import write_bundle

    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = folder / "source.txt"
        source.write_text(arguments.lines.read_text() if arguments.lines else made_up(10_000, arguments.seed))
        wide = write_bundle(folder / "wide", dimension=1 << 16)
        bench = Bench(folder, source, window=1024, checkpoint=0.05)
        for fault in faults(bench, wide, arguments.times, random.Random(arguments.seed)):
            began = time.monotonic()
            outcome = fault()
            if outcome is None:
                print("a tmpfs cannot be mounted here: left out", file=sys.stderr)
                continue
            took = f"{outcome.times} times, {time.monotonic() - began:.0f} s"
            said = outcome.failed or outcome.outcome
            print(f"{outcome.fault}: {outcome.injected}, {took}: {said}", flush=True)
            outcomes.append(outcome)
        lines = source.read_bytes().count(b"\n")
    report = {
        "lines": lines,
        "seed": arguments.seed,
        "faults": [dataclasses.asdict(each) for each in outcomes],
    }
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    main()
