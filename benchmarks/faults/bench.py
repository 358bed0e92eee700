"""What faults are tried on: a folder, a source file, a model, and the outputs of undisturbed runs."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.sources import wrong_pairs, wrong_rows

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a fault was injected, how often, and the outcome; `failed` lists what was wrong."""

    fault: str
    injected: str
    times: int
    outcome: str
    failed: list[str]


@dataclasses.dataclass(frozen=True)
class Job:
    """A command that can be resumed, and the file that `out` must equal when it is done.

    `seconds` is the processor time of an undisturbed run.
    """

    command: list[object]
    out: Path
    right: Path
    seconds: float


class Bench:
    """See above; `settings` are passed to the driver in every run."""

    def __init__(self, folder: Path, source: Path, model: Path | None = None, **settings: object) -> None:
        self.folder, self.source = folder, source
        self.options = [] if model is None else ["--model", str(model)]
        self.settings = settings
        # A shell starts background processes that ignore Ctrl-C, and so would the processes that start here.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.whole = folder / "whole.npy"
        self.encoding_seconds = self.timed("encode", source, "-o", self.whole)
        assert not (wrong := wrong_rows(self.whole, source)), wrong

    @functools.cached_property
    def few(self) -> Path:
        """The start of the source, which is mined quickly."""
        return self.head(1500)

    def head(self, count: int) -> Path:
        path = self.folder / f"{count}.txt"
        path.write_bytes(b"\n".join(self.source.read_bytes().split(b"\n")[:count]) + b"\n")
        return path

    @functools.cached_property
    def few_pairs(self) -> Path:
        """The pairs of `few` at 0.5."""
        pairs = self.folder / "few.tsv"
        self.timed("paraphrase", self.few, "--threshold", 0.5, "-q", "-o", pairs)
        assert not (wrong := wrong_pairs(pairs, self.few)), wrong
        return pairs

    @functools.cached_property
    def mining(self) -> Job:
        """A job of many tiles, with embeddings from a cache."""
        source = self.head(5000)
        right, out = self.folder / "whole.tsv", self.folder / "mined.tsv"
        command = ["paraphrase", source, "--max-pairs", 20_000, "--memory-budget", "32MiB"]
        command += ["--cache", self.folder / "mining-cache", "-q"]
        self.timed(*command, "-o", right)
        assert not (wrong := wrong_pairs(right, source)), wrong
        command += ["--resume", self.folder / "checkpoint", "-o", out]
        seconds = self.timed(*command)
        out.unlink()
        return Job(command, out, right, seconds)

    def encoding(self, name: str) -> Job:
        out = self.folder / name
        return Job(["encode", self.source, "-o", out], out, self.whole, self.encoding_seconds)

    def start(
        self, *arguments: object, settings: dict[str, object] | None = None, **options: Any
    ) -> subprocess.Popen:
        model = [] if "--model" in arguments else self.options
        command = [sys.executable, "-m", "benchmarks.faults.driver", *map(str, arguments), *model]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment(**(settings or {})), **pipes | options
        )

    def environment(self, **settings: object) -> dict[str, str]:
        given = self.settings | settings
        return os.environ | {"DRIVER": " ".join(f"{name}={value}" for name, value in given.items())}

    def run(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess:
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=3600)
        return subprocess.CompletedProcess(
            process.args, process.returncode, out or b"", (err or b"").decode()
        )

    def timed(self, *arguments: object) -> float:
        """The processor time of a run, which must succeed."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def resumes(self, job: Job, *more: str) -> list[str]:
        """What is wrong after the same command is run again."""
        done = self.run(*job.command, *more)
        return [f"resumed: {done.stderr}"] * bool(done.returncode) + self.wrong(job)

    def wrong(self, job: Job) -> list[str]:
        """What is wrong with a finished output; nothing if it is that of the undisturbed run."""
        found = []
        for end in ("", ".json"):
            mine, right = Path(f"{job.out}{end}"), Path(f"{job.right}{end}")
            if mine.exists() != right.exists():
                found.append(f"{mine.name} is{' not' * (not mine.exists())} there")
            elif right.exists() and mine.read_bytes() != right.read_bytes():
                found.append(f"{mine.name} is not that of the undisturbed run")
        left = [path.name for path in self.folder.glob(f"*{job.out.name}*part*")]
        return found + [f"{each} was left" for each in left]

    def incomplete_outputs(self, job: Job) -> list[str]:
        """Files in the place of the output, or next to it, that are incomplete and that NumPy can read."""
        found = []
        if job.out.exists() and job.out.read_bytes() != job.right.read_bytes():
            found.append(f"{job.out.name} is there and not whole")
        for path in self.folder.glob(f"*{job.out.name}*part"):
            with contextlib.suppress(ValueError, EOFError):
                np.load(path, mmap_mode="r", allow_pickle=False)
                if path.read_bytes() != job.right.read_bytes():
                    found.append(f"NumPy reads {path.name}, which is not whole")
        return found


def until(process: subprocess.Popen, seconds: float) -> None:
    """Wait until the process handles SIGTERM and has used so many seconds of processor time, or has ended.

    Seconds of the clock would be other moments of the work on a machine that is busy.
    """
    proc = Path(f"/proc/{process.pid}")
    answered, tick = 1 << (signal.SIGTERM - 1), os.sysconf("SC_CLK_TCK")
    while process.poll() is None:
        caught = int((proc / "status").read_text().split("SigCgt:")[1].split()[0], 16)
        user, system = (proc / "stat").read_text().rpartition(")")[2].split()[11:13]
        if caught & answered and int(user) + int(system) >= seconds * tick:
            return
        time.sleep(0.001)


def refused(done: subprocess.CompletedProcess, *said: str) -> list[str]:
    """What is wrong with an error; nothing if it is one line with all of `said`."""
    short = done.returncode == 2 and done.stderr.count("\n") <= 2
    right = short and all(each in done.stderr for each in said)
    return [] if right else [f"exit status {done.returncode}: {done.stderr}"]


def limited(kind: int, size: int) -> Callable[[], None]:
    """A limit of a resource, for `preexec_fn`."""
    return lambda: resource.setrlimit(kind, (size, size))


def forget(out: Path) -> None:
    """Delete an output and the files next to it."""
    for end in ("", ".json", ".part", ".part.jsonl"):
        Path(f"{out}{end}").unlink(missing_ok=True)
