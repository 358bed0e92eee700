"""Machines with too little memory, and with clocks that jump."""

from __future__ import annotations

import random
import resource
import shutil
from pathlib import Path

from benchmarks.faults.bench import Bench, Outcome, forget, limited, refused
from benchmarks.faults.sources import made_up


def little_memory(bench: Bench, wide: Path) -> Outcome:
    """A memory limit that the embeddings of the model `wide`, of 65,536 dimensions, exceed."""
    many = bench.folder / "many.txt"
    many.write_text(made_up(20_000, 1))
    command = ["paraphrase", many, "-q", "--model", wide, "-o", bench.folder / "none.tsv"]
    done = bench.run(*command, preexec_fn=limited(resource.RLIMIT_AS, 4 << 30))
    failed = refused(done, "of memory, and RLIMIT_AS (ulimit -v) leaves", "embeddings: needs")
    seen = "refused before encoding, exit 2: " + done.stderr.strip().split(": ", 2)[-1]
    return Outcome("memory limit", "RLIMIT_AS of 4 GiB", 1, seen, failed)


def jumping_clock(bench: Bench, times: int, rng: random.Random) -> Outcome:
    """Every reading of a clock is a random time within a century."""
    failed = []
    job, right = bench.encoding("clock.npy"), bench.few_pairs.read_bytes()
    cache, mined = bench.folder / "clock-cache", bench.folder / "clock.tsv"
    for _ in range(times):
        settings = {"clock": rng.randrange(1 << 30)}
        done = bench.run(*job.command, settings=settings)
        failed += bench.wrong(job) + [done.stderr] * bool(done.returncode)
        forget(job.out)
        command = ["paraphrase", bench.few, "--threshold", 0.5, "-q", "-o", mined, "--cache", cache]
        done = bench.run(*command, settings=settings)
        if done.returncode or mined.read_bytes() != right:
            failed.append(f"other pairs: {done.stderr}")
    shutil.rmtree(cache)
    injected = "every reading of a clock random, 1960 to 2065"
    return Outcome("clock jumps", injected, 2 * times, "same bytes", failed)
