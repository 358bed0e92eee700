"""Inputs that end with an error, and outputs whose reader has gone."""

from __future__ import annotations

import fcntl
import gzip
import os
import subprocess
import time
from pathlib import Path

from benchmarks.faults.bench import Bench, Outcome, refused


def unreadable(bench: Bench) -> Outcome:
    """Reading fails, and then the same command gets the complete input."""
    kept, failed = _cut_short(bench)
    seen = f"exit 2 and the reason; {'blocks before it kept, and ' * kept}resumed to the same bytes"
    injected = "EIO from a terminal, a gzip file cut short"
    return Outcome("read error, encode", injected, 2, seen, _hung_up(bench) + failed)


def _hung_up(bench: Bench) -> list[str]:
    """EIO, from a terminal whose other end is closed."""
    data = bench.source.read_bytes()
    master, slave = os.openpty()
    subprocess.run(["stty", "raw", "-echo"], stdin=slave, check=True)
    job = bench.encoding("eio.npy")
    process = bench.start("encode", "-", "-o", job.out, stdin=master)
    os.close(master)
    with open(slave, "wb") as end:
        end.write(data[: data.rfind(b"\n", 0, len(data) * 3 // 4) + 1])
        end.flush()
        time.sleep(0.5)  # closing at once would drop data that is not read yet
    _, err = process.communicate()
    done = subprocess.CompletedProcess([], process.returncode, b"", err.decode())
    failed = refused(done, "standard input: cannot be read", "Input/output error")
    return failed + bench.incomplete_outputs(job) + bench.resumes(job)


def _cut_short(bench: Bench) -> tuple[bool, list[str]]:
    """A gzip file without its last quarter, and then the complete one; whether finished blocks were kept."""
    packed = gzip.compress(bench.source.read_bytes(), 1)
    source, job = bench.folder / "cut.txt.gz", bench.encoding("cut.npy")
    command = ["encode", source, "-o", job.out]
    source.write_bytes(packed[: len(packed) * 3 // 4])
    failed = refused(bench.run(*command), "cut.txt.gz")
    kept = Path(f"{job.out}.part.jsonl").exists()
    source.write_bytes(packed)
    done = bench.run(*command)
    return kept, failed + [done.stderr] * bool(done.returncode) + bench.wrong(job)


def closed_pipe(bench: Bench) -> Outcome:
    """The reader closes the pipe after some bytes."""
    failed = []
    for command in (["paraphrase", bench.few, "--threshold", 0.3], ["encode", bench.source, "-o", "-"]):
        process = bench.start(*command)
        # A pipe that holds less than the output.
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        process.stdout.read(9)
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        if process.wait() != 141 or "Traceback" in err or "rror" in err:
            failed.append(f"{command[0]}: exit status {process.returncode}: {err}")
    injected = "| head -c 9, of paraphrase and encode"
    return Outcome("reader closes the pipe", injected, 2, "silent, exit 141", failed)
