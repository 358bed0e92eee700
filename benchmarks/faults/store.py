"""Files that several processes write at once, and files that are damaged on disk."""

from __future__ import annotations

import random
import subprocess
import sys

from benchmarks.faults.bench import ROOT, Bench, Outcome, forget


def writers(bench: Bench, times: int) -> Outcome:
    """Several runs at once to one output."""
    failed, told = [], 0
    job = bench.encoding("two.npy")
    for _ in range(times):
        running = [bench.start(*job.command) for _ in range(3)]
        for process in running:
            _, err = process.communicate()
            if process.returncode == 2 and b"in use: another process writes there" in err:
                told += 1
            elif process.returncode:
                failed.append(f"exit status {process.returncode}: {err.decode()}")
        failed += bench.wrong(job)
        forget(job.out)
    seen = f"whole each time; {told} runs refused with the reason"
    return Outcome("three writers on one output", "started together", times, seen, failed)


def shared_cache(bench: Bench, times: int) -> Outcome:
    """Jobs and prunes that use one cache at once; some are killed."""
    failed = []
    cache, right = bench.folder / "shared-cache", bench.few_pairs.read_bytes()
    command = ["paraphrase", bench.few, "--threshold", 0.5, "-q", "--cache", cache, "-o"]
    prune = [sys.executable, "-m", "lightmine", "cache", "prune", "--all", "--cache", str(cache)]
    for turn in range(times):
        outs = [bench.folder / f"shared{n}.tsv" for n in range(4)]
        running = [bench.start(*command, out) for out in outs]
        victim = bench.start(*command, bench.folder / "victim.tsv")
        while any(process.poll() is None for process in running):
            if turn % 2 and cache.is_dir():
                subprocess.run(prune, cwd=ROOT, capture_output=True, check=False)
            victim.kill()
        victim.communicate()
        for process, out in zip(running, outs, strict=True):
            _, err = process.communicate()
            if process.returncode or err or out.read_bytes() != right:
                failed.append(f"other pairs, or a message: {err.decode()}")
    done = bench.run(*command, bench.folder / "last.tsv")
    if "damaged" in done.stderr:
        failed.append(done.stderr)
    injected = "started together, one more killed, and every other time cache prune --all"
    seen = "same pairs as without a cache, no entry damaged"
    return Outcome("four jobs on one cache", injected, 4 * times, seen, failed)


def damaged_cache(bench: Bench, times: int, rng: random.Random) -> Outcome:
    """A bit of an entry flipped, or an entry cut short."""
    failed = []
    cache, out, right = (
        bench.folder / "damaged-cache",
        bench.folder / "mended.tsv",
        bench.few_pairs.read_bytes(),
    )
    command = ["paraphrase", bench.few, "--threshold", 0.5, "--cache", cache, "-o", out]
    bench.run(*command)
    for _ in range(times):
        entry = rng.choice(sorted(cache.glob("*/*.npy")))
        data = bytearray(entry.read_bytes())
        place = rng.randrange(len(data))
        if rng.random() < 0.3:
            del data[place:]
        else:
            data[place] ^= 1 << rng.randrange(8)
        entry.write_bytes(data)
        done = bench.run(*command)
        if "1 entry of the cache was damaged, and made again" not in done.stderr:
            failed.append(f"damage at byte {place} not noticed: {done.stderr}")
        if out.read_bytes() != right:
            failed.append(f"damage at byte {place} changed the pairs")
    seen = "each noticed and made again, same pairs"
    return Outcome("damaged cache entry", "a random bit flipped, or the entry cut", times, seen, failed)
