"""Jobs that are stopped during their work and then resumed."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.faults.bench import ROOT, Bench, Job, Outcome, forget, until

# The exit status after each signal; SIGKILL cannot be handled.
STATUS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


def ended(bench: Bench, job: Job, times: int, rng: random.Random, *signals: signal.Signals) -> Outcome:
    """Signals by turns at random moments; the job is resumed each time."""
    failed, statuses, kept = [], [], []
    journal = Path(f"{job.out}.part.jsonl")
    checkpoint = bench.folder / "checkpoint" / "mining.checkpoint"
    for turn in range(times):
        number = signals[turn % len(signals)]
        process = bench.start(*job.command)
        until(process, rng.uniform(0, job.seconds))
        process.send_signal(number)
        _, err = process.communicate()
        statuses.append(process.returncode)
        if process.returncode not in (0, STATUS[number]):
            failed.append(f"exit status {process.returncode} after {number.name}: {err.decode()}")
        if b"Traceback" in err:
            failed.append(f"a traceback after {number.name}: {err.decode()}")
        failed += bench.incomplete_outputs(job)
        kept.append(journal.read_bytes().count(b"\n") - 1 if journal.exists() else int(checkpoint.exists()))
        if process.returncode == 0:
            failed += bench.wrong(job)
            forget(job.out)
    failed += bench.resumes(job)
    forget(job.out)
    command = str(job.command[0])
    seen = "; ".join(f"exit {status} {statuses.count(status)} times" for status in sorted(set(statuses)))
    if command == "encode":
        seen += f"; finished blocks kept {max(0, min(kept))} to {max(kept)}"
    else:
        seen += f"; a checkpoint there {sum(kept)} times"
    names = ", ".join(number.name for number in signals)
    return Outcome(f"{names} of {command}", "at random moments, resumed each time", times, seen, failed)


def killed_at_each_step(bench: Bench) -> Outcome:
    """kill -9 before each call that changes the disk, by turns, and then a resumed run."""
    out = bench.folder / "step.npy"
    command = [sys.executable, "-m", "benchmarks.faults.steps", str(bench.source), str(out), *bench.options]
    done = subprocess.run(
        command, cwd=ROOT, env=bench.environment(slow=0), capture_output=True, text=True, check=False
    )
    failed = [f"exit status {done.returncode}: {done.stderr}"] * bool(done.returncode)
    steps = json.loads(done.stdout or "[]")
    right = hashlib.sha256(bench.whole.read_bytes() + Path(f"{bench.whole}.json").read_bytes()).hexdigest()
    failed += [f"killed at step {n}: {step}" for n, step in enumerate(steps, 1) if step != [right, []]]
    seen = "each resumed to the same bytes, no incomplete file that NumPy reads"
    injected = "before the n-th fsync, rename, unlink or truncate, for every n"
    return Outcome("SIGKILL of encode", injected, len(steps), seen, failed)
