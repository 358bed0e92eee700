"""Disks without free space."""

from __future__ import annotations

import random
import resource
import subprocess
from pathlib import Path

from benchmarks.faults.bench import Bench, Outcome, forget, limited, refused
from benchmarks.faults.sources import wrong_pairs

AGAIN = "and run the command again"


def full(bench: Bench, times: int, rng: random.Random) -> Outcome:
    """The process may write a limited number of bytes to a file."""
    failed = []
    size = bench.whole.stat().st_size
    previous = b"previous output"
    job = bench.encoding("full.npy")
    for _ in range(times):
        job.out.write_bytes(previous)
        limit = limited(resource.RLIMIT_FSIZE, rng.randrange(size // 10, size))
        done = bench.run(*job.command, "--restart", preexec_fn=limit)
        failed += refused(done, "cannot be written: File too large", AGAIN)
        if job.out.read_bytes() != previous:
            failed.append("the previous output was changed")
        failed += bench.resumes(job, *["--restart"] * (not Path(f"{job.out}.part").exists()))
        forget(job.out)
    seen = "exit 2, previous output whole, then resumed to the same bytes"
    return Outcome("disk full, encode", "RLIMIT_FSIZE at a random size", times, seen, failed)


def full_of_pairs(bench: Bench) -> Outcome:
    """The same for pairs, plain and compressed."""
    failed = []
    names = ("pairs.tsv", "pairs.jsonl", "pairs.tsv.gz")
    for name in names:
        out = bench.folder / name
        command = ["paraphrase", bench.few, "--threshold", 0.3, "--max-pairs", 20_000, "-q", "-o", out]
        done = bench.run(*command)
        assert done.returncode == 0, done.stderr
        right = out.read_bytes()
        if name == "pairs.tsv":
            failed += wrong_pairs(out, bench.few)
        done = bench.run(*command, preexec_fn=limited(resource.RLIMIT_FSIZE, len(right) // 2))
        failed += refused(done, "cannot be written: File too large", AGAIN)
        if out.read_bytes() != right:
            failed.append(f"{name}: the previous output was changed")
        failed += [f"{path.name} was left" for path in bench.folder.glob(".*.part")]
    seen = "exit 2, previous output whole, nothing else left"
    return Outcome("disk full, paraphrase", "RLIMIT_FSIZE at half the size", len(names), seen, failed)


def full_tmpfs(bench: Bench) -> Outcome | None:
    """A file system that is too small, and then is made larger; None if none can be mounted."""
    place = bench.folder / "small"
    place.mkdir()
    size = bench.whole.stat().st_size

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if not mount(f"size={size // 2}"):
        return None
    try:
        out = place / "x.npy"
        done = bench.run("encode", bench.source, "-o", out)
        failed = refused(done, "No space left on device", AGAIN)
        assert mount(f"remount,size={2 * size + (1 << 20)}")
        done = bench.run("encode", bench.source, "-o", out)
        if done.returncode or out.read_bytes() != bench.whole.read_bytes():
            failed.append(f"not resumed after space was made: {done.stderr}")
        pairs = place / "pairs.tsv"
        pairs.write_bytes(b"previous")
        assert mount(f"remount,size={size + 65_536}")
        done = bench.run("paraphrase", bench.few, "--threshold", 0.3, "-q", "-o", pairs)
        failed += refused(done, "No space left on device", AGAIN)
        if pairs.read_bytes() != b"previous":
            failed.append("the previous pairs were changed")
    finally:
        subprocess.run(["umount", str(place)], check=False)
    seen = "exit 2, resumed after space was made; previous pairs whole"
    return Outcome("disk full, encode and paraphrase", "a tmpfs of half the size", 2, seen, failed)
