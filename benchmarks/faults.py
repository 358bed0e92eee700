"""Faults, injected into real runs of the command line: what is left, and what comes of going on.

    python -m benchmarks.faults [--lines FILE] [--json benchmarks/results/faults.json]

Every answer is compared byte for byte with that of a run that nothing happened to, and that one with the
source lines, read by other code than lightmine's. tests/test_faults.py runs the same on small files.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import gzip
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
# Runs the command line after doing what the variable DRIVER says: smaller windows, a clock that jumps, a
# disk that takes its time.
DRIVER = """
import os, random, signal, sys, time
settings = dict(pair.split("=") for pair in os.environ.get("DRIVER", "").split())
import lightmine.encoding.encoder as encoder
encoder.WINDOW = int(settings.get("window", encoder.WINDOW))
if "clock" in settings:
    jumps = random.Random(int(settings["clock"]))
    for name in ("time", "monotonic", "perf_counter"):
        setattr(time, name, lambda: jumps.uniform(-3e8, 3e9))
if "slow" in settings:
    fsync = os.fsync
    os.fsync = lambda number: (time.sleep(float(settings["slow"])), fsync(number))[1]
from lightmine.cli import main
main()
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a fault was injected, how often, and what came of it; `failed` lists what was wrong."""

    fault: str
    injected: str
    times: int
    outcome: str
    failed: list[str]


class Bench:
    """A folder, a source file, a model, and the answer of a run that nothing happens to."""

    def __init__(self, folder: Path, source: Path, model: Path | None = None, **settings: object) -> None:
        self.folder, self.source = folder, source
        self.options = [] if model is None else ["--model", str(model)]
        self.settings = settings
        self.whole = folder / "whole.npy"
        process = self.start("encode", source, "-o", self.whole)
        self.seconds = self.at_work(process, self.whole)
        _, err = process.communicate()
        assert process.returncode == 0, err
        check_rows(self.whole, source)

    def environment(self, **settings: object) -> dict[str, str]:
        given = self.settings | settings
        return os.environ | {"DRIVER": " ".join(f"{name}={value}" for name, value in given.items())}

    def start(
        self, *arguments: object, settings: dict[str, object] | None = None, **options: Any
    ) -> subprocess.Popen:
        model = [] if "--model" in arguments else self.options
        command = [sys.executable, "-c", DRIVER, *map(str, arguments), *model]
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        } | options
        return subprocess.Popen(command, cwd=ROOT, env=self.environment(**(settings or {})), **options)

    def run(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess:
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=3600)
        return subprocess.CompletedProcess(
            process.args, process.returncode, out or b"", (err or b"").decode()
        )

    def at_work(self, process: subprocess.Popen, out: Path, *, seconds: float | None = None) -> float:
        """Wait until it has begun to write, and then for so long or to its end; returns how long it wrote."""
        while process.poll() is None and not Path(f"{out}.part").exists():
            time.sleep(0.001)
        began = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return time.monotonic() - began

    def encode(self, name: str, **options: Any) -> subprocess.CompletedProcess:
        return self.run("encode", self.source, "-o", self.folder / name, **options)

    def wrong(self, name: str) -> list[str]:
        """What is wrong with a finished output: nothing, when it is that of the undisturbed run."""
        found = []
        for end in ("", ".json"):
            mine, right = self.folder / (name + end), Path(f"{self.whole}{end}")
            if not mine.exists():
                found.append(f"{mine.name} is not there")
            elif mine.read_bytes() != right.read_bytes():
                found.append(f"{mine.name} is not that of the undisturbed run")
        left = [path.name for path in self.folder.glob(f"*{name}*part*")]
        return found + [f"{each} was left" for each in left]

    def passes_for_whole(self, name: str) -> list[str]:
        """What NumPy would take for a result and is none."""
        found = []
        for path in self.folder.glob(f"*{name}*"):
            if path.suffix in (".json", ".jsonl"):
                continue
            with contextlib.suppress(ValueError, EOFError):
                rows = np.load(path, mmap_mode="r", allow_pickle=False)
                if rows.tobytes() != np.load(self.whole, mmap_mode="r").tobytes():
                    found.append(f"NumPy reads {path.name}, which is not whole")
        return found


def check_rows(matrix: Path, source: Path) -> None:
    """A row for each line of the source, and zeros exactly where a line is blank."""
    lines = source.read_bytes().split(b"\n")
    if not lines[-1]:
        lines.pop()
    texts = [line.decode().removesuffix("\r") for line in lines]
    rows = np.load(matrix, mmap_mode="r", allow_pickle=False)
    assert len(rows) == len(texts), f"{len(rows)} rows of {len(texts)} lines"
    blank = np.array([not text.strip() for text in texts])
    assert (np.abs(rows).max(axis=1) == 0).tolist() == blank.tolist(), "zeros are not where lines are blank"


def check_pairs(pairs: Path, source: Path) -> list[str]:
    """Pairs whose text is not, character for character, what stands on the lines that they name."""
    lines = source.read_text(encoding="utf-8").split("\n")
    wrong = []
    for row in pairs.read_text(encoding="utf-8").removesuffix("\n").split("\n")[1:]:
        _, left, right, *texts = row.split("\t")
        for numbers, text in zip((left, right), texts, strict=True):
            text = re.sub(r"\\(.)", lambda m: {"t": "\t", "n": "\n", "r": "\r"}.get(m[1], m[1]), text)
            wrong += [f"line {n}" for n in numbers.split(",") if lines[int(n) - 1].removesuffix("\r") != text]
    return wrong


def killed(bench: Bench, times: int, rng: random.Random) -> Outcome:
    """kill -9 at random moments, each time going on with what is there."""
    failed, kept, finished = [], [], 0
    out = bench.folder / "killed.npy"
    for _ in range(times):
        process = bench.start("encode", bench.source, "-o", out)
        bench.at_work(process, out, seconds=rng.uniform(0, bench.seconds))
        process.kill()
        finished += process.wait() == 0
        process.communicate()
        failed += bench.passes_for_whole("killed.npy")
        journal = Path(f"{out}.part.jsonl")
        kept.append(max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0)
        # With a journal the last step, which names the rows and then the manifest, is to be done again.
        if out.exists() and not journal.exists():
            failed += bench.wrong("killed.npy")
            _forget(out)
    failed += _goes_on(bench, "killed.npy")
    seen = f"finished blocks kept {min(kept)} to {max(kept)}; {finished} ran to their end before the kill"
    return Outcome("kill -9 of encode", "SIGKILL at random moments", times, seen, failed)


def killed_at_each_step(bench: Bench) -> Outcome:
    """kill -9 before each call that touches the disk, in turn, and going on."""
    code = "from benchmarks.faults import step_by_step; step_by_step()"
    command = [sys.executable, "-c", code, str(bench.source), str(bench.folder / "step.npy"), *bench.options]
    done = subprocess.run(
        command, cwd=ROOT, env=bench.environment(slow=0), capture_output=True, text=True, check=False
    )
    failed = [f"exit status {done.returncode}: {done.stderr}"] * bool(done.returncode)
    steps = json.loads(done.stdout or "[]")
    right = hashlib.sha256(bench.whole.read_bytes() + Path(f"{bench.whole}.json").read_bytes()).hexdigest()
    for number, step in enumerate(steps, 1):
        if step != [right, []]:
            failed.append(f"killed at step {number}: {step}")
    seen = "each gone on to the same bytes, nothing half done that NumPy reads"
    injected = "SIGKILL before the n-th fsync, rename, unlink or truncate, for every n"
    return Outcome("kill -9 of encode", injected, len(steps), seen, failed)


def step_by_step() -> None:
    """For n = 1, 2 ...: a process that is killed at its n-th step, and one that goes on; prints JSON."""
    source, out, *options = sys.argv[1:]
    exec(DRIVER.rpartition("from lightmine.cli")[0], {})
    import lightmine.cli
    import lightmine.encoding.providers

    def process(step: int) -> int:
        if child := os.fork():
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        left = step

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **more: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **more)

            return call

        for name in ("fsync", "replace", "rename", "unlink", "truncate"):
            setattr(os, name, counted(getattr(os, name)))
        sys.argv = ["lightmine", "encode", source, "-o", out, "-q", *options]
        try:
            lightmine.cli.main()
        except SystemExit as end:
            os._exit(end.code or 0)

    found: list[Any] = []
    while process(len(found) + 1) != 0:
        half_done = []
        for path in (Path(out), Path(f"{out}.part")):
            with contextlib.suppress(ValueError, FileNotFoundError):
                np.load(path, mmap_mode="r", allow_pickle=False)
                half_done.append([path.name, hashlib.sha256(path.read_bytes()).hexdigest()])
        status = process(0)
        assert status == 0, f"going on after step {len(found) + 1}: exit status {status}"
        data = Path(out).read_bytes()
        whole = hashlib.sha256(data).hexdigest()
        made = hashlib.sha256(data + Path(f"{out}.json").read_bytes()).hexdigest()
        found.append([made, [name for name, sha in half_done if sha != whole]])
        _forget(Path(out))
    print(json.dumps(found))


def stopped(bench: Bench, times: int, rng: random.Random) -> Outcome:
    """SIGTERM and Ctrl-C."""
    failed, codes = [], []
    out = bench.folder / "stopped.npy"
    for turn in range(times):
        number, expected = ((signal.SIGTERM, 143), (signal.SIGINT, 130))[turn % 2]
        process = bench.start("encode", bench.source, "-o", out)
        bench.at_work(process, out, seconds=rng.uniform(0, bench.seconds))
        process.send_signal(number)
        _, err = process.communicate()
        codes.append(process.returncode)
        # Once the file is whole, the signal may meet Python on its way out.
        if process.returncode not in (0, expected, -number if out.exists() else expected):
            failed.append(f"exit status {process.returncode} after signal {number}")
        if b"Traceback" in err:
            failed.append(f"a traceback after signal {number}")
        failed += bench.passes_for_whole("stopped.npy")
        if out.exists() and not Path(f"{out}.part.jsonl").exists():
            failed += bench.wrong("stopped.npy")
            _forget(out)
    failed += _goes_on(bench, "stopped.npy")
    seen = ", ".join(f"exit {code} {codes.count(code)} times" for code in sorted(set(codes)))
    return Outcome(
        "SIGTERM and Ctrl-C of encode", "SIGTERM, SIGINT in turn at random moments", times, seen, failed
    )


def full_disk(bench: Bench, times: int, rng: random.Random) -> Outcome:
    """The process may write so many bytes to a file and no more."""
    failed = []
    size = bench.whole.stat().st_size
    previous = b"previous output"
    out = bench.folder / "full.npy"
    for _ in range(times):
        out.write_bytes(previous)
        limit = rng.randrange(size // 10, size)
        done = bench.run("encode", bench.source, "-o", out, "--restart", preexec_fn=_file_limit(limit))
        failed += _refused(done, "cannot be written: File too large", _room(size))
        if out.read_bytes() != previous:
            failed.append("the previous output was changed")
        failed += _goes_on(bench, "full.npy", "--restart" if not Path(f"{out}.part").exists() else None)
        _forget(out)
    seen = "exit 2, previous output whole, needed size exact, then gone on to the same bytes"
    return Outcome("disk full, encode", "RLIMIT_FSIZE at a random size", times, seen, failed)


def full_disk_of_pairs(bench: Bench) -> Outcome:
    """The same of pairs, plain and compressed, and of neighbours."""
    failed = []
    few = few_lines(bench)
    names = ("pairs.tsv", "pairs.jsonl", "pairs.tsv.gz")
    for name in names:
        out = bench.folder / name
        command = ["paraphrase", few, "--threshold", 0.3, "--max-pairs", 20_000, "-q", "-o", out]
        done = bench.run(*command)
        assert done.returncode == 0, done.stderr
        right = out.read_bytes()
        if name == "pairs.tsv":
            failed += check_pairs(out, few)
        done = bench.run(*command, preexec_fn=_file_limit(len(right) // 2))
        failed += _refused(done, "cannot be written: File too large", _room(len(right)))
        if out.read_bytes() != right:
            failed.append(f"{name}: the previous output was changed")
        failed += [f"{path.name} was left" for path in bench.folder.glob(".*.part")]
    seen = "exit 2, previous output whole, needed size exact, nothing left beside"
    return Outcome("disk full, paraphrase", "RLIMIT_FSIZE at half the size", len(names), seen, failed)


def few_lines(bench: Bench) -> Path:
    """The start of the source, where pairs are mined."""
    few = bench.folder / "few.txt"
    few.write_bytes(b"\n".join(bench.source.read_bytes().split(b"\n")[:1500]) + b"\n")
    return few


def full_tmpfs(bench: Bench) -> Outcome | None:
    """A file system that is too small, and then is made larger; None where none can be mounted."""
    place = bench.folder / "small"
    place.mkdir()
    size = bench.whole.stat().st_size
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size // 2}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        return None
    try:
        out = place / "x.npy"
        done = bench.run("encode", bench.source, "-o", out)
        failed = _refused(done, "No space left on device", _room(size))
        grow = ["mount", "-o", f"remount,size={2 * size + (1 << 20)}", str(place)]
        subprocess.run(grow, check=True)
        done = bench.run("encode", bench.source, "-o", out)
        if done.returncode or out.read_bytes() != bench.whole.read_bytes():
            failed.append(f"not gone on after room was made: {done.stderr}")
        pairs = place / "pairs.tsv"
        pairs.write_bytes(b"previous")
        subprocess.run(["mount", "-o", f"remount,size={size + 65_536}", str(place)], check=True)
        done = bench.run("paraphrase", bench.folder / "few.txt", "--threshold", 0.3, "-q", "-o", pairs)
        failed += _refused(done, "No space left on device", "the whole needs")
        if pairs.read_bytes() != b"previous":
            failed.append("the previous pairs were changed")
    finally:
        subprocess.run(["umount", str(place)], check=False)
    seen = "exit 2, needed size said, gone on after room was made; previous pairs whole"
    return Outcome("disk full, encode and paraphrase", "a tmpfs of half the size", 2, seen, failed)


def unreadable(bench: Bench) -> Outcome:
    """Reading fails in the midst: EIO from a terminal whose other end is gone, and a gzip file cut short."""
    failed = []
    data = bench.source.read_bytes()
    cut = data.rfind(b"\n", 0, len(data) * 3 // 4) + 1
    master, slave = os.openpty()
    subprocess.run(["stty", "raw", "-echo"], stdin=slave, check=True)
    out = bench.folder / "eio.npy"
    process = bench.start("encode", "-", "-o", out, stdin=master)
    os.close(master)
    with open(slave, "wb") as end:
        end.write(data[:cut])
        # Closing at once would drop what nobody has read yet.
        end.flush()
        subprocess.run(["sh", "-c", "sleep 0.5"], check=True)
    _, err = process.communicate()
    done = subprocess.CompletedProcess([], process.returncode, b"", err.decode())
    failed += _refused(done, "standard input: cannot be read", "Input/output error")
    failed += bench.passes_for_whole("eio.npy") + _goes_on(bench, "eio.npy")
    packed = gzip.compress(data, 1)
    source = bench.folder / "cut.txt.gz"
    source.write_bytes(packed[: len(packed) * 3 // 4])
    out = bench.folder / "cut.npy"
    done = bench.run("encode", source, "-o", out)
    failed += _refused(done, "cut.txt.gz", "")
    kept = Path(f"{out}.part.jsonl").exists()
    source.write_bytes(packed)
    done = bench.run("encode", source, "-o", out)
    failed += bench.wrong("cut.npy")
    seen = f"exit 2 and the reason; {'blocks before it kept, and ' if kept else ''}gone on to the same bytes"
    return Outcome(
        "read error in the midst, encode", "EIO from a terminal, a gzip file cut short", 2, seen, failed
    )


def closed_pipe(bench: Bench) -> Outcome:
    """Whoever reads has enough after a line."""
    failed = []
    for command in (
        ["paraphrase", str(bench.folder / "few.txt"), "--threshold", "0.3"],
        ["encode", str(bench.source), "-o", "-"],
    ):
        process = bench.start(*command)
        # A pipe that holds less than there is to say.
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        process.stdout.read(9)
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        if process.wait() != 141 or "Traceback" in err or "rror" in err:
            failed.append(f"{command[0]}: exit status {process.returncode}: {err}")
    return Outcome(
        "reader closes the pipe", "| head -c 9, of paraphrase and encode", 2, "silent, exit 141", failed
    )


def little_memory(bench: Bench, wide: Path) -> Outcome:
    """A limit on memory that the embeddings would break."""
    failed = []
    done = bench.run(
        "paraphrase", bench.source, "-q", "--model", wide, "-o", bench.folder / "none.tsv",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
    )  # fmt: skip
    failed += _refused(done, "of memory, and RLIMIT_AS (ulimit -v) leaves", "embeddings: needs")
    seen = "refused before encoding, exit 2: " + done.stderr.strip().split(": ", 2)[-1]
    return Outcome("memory limit", "RLIMIT_AS of 4 GiB", 1, seen, failed)


def jumping_clock(bench: Bench, times: int, rng: random.Random) -> Outcome:
    """Every look at any clock is a random time within a century."""
    failed = []
    cache = bench.folder / "clock-cache"
    few, right = bench.folder / "few.txt", bench.folder / "right.tsv"
    command = ["paraphrase", few, "--threshold", 0.5, "-q", "-o"]
    bench.run(*command, right)
    for _ in range(times):
        settings = {"clock": rng.randrange(1 << 30)}
        done = bench.encode("clock.npy", settings=settings)
        failed += bench.wrong("clock.npy") + ([done.stderr] if done.returncode else [])
        _forget(bench.folder / "clock.npy")
        mined = bench.folder / "clock.tsv"
        done = bench.run(*command, mined, "--cache", cache, settings=settings)
        if done.returncode or mined.read_bytes() != right.read_bytes():
            failed.append(f"other pairs: {done.stderr}")
    shutil.rmtree(cache)
    return Outcome(
        "clock jumps", "every reading of a clock random, 1960 to 2065", 2 * times, "same bytes", failed
    )


def two_writers(bench: Bench, times: int) -> Outcome:
    """Several runs at once to one output."""
    failed, refused = [], 0
    for _ in range(times):
        running = [bench.start("encode", bench.source, "-o", bench.folder / "two.npy") for _ in range(3)]
        for process in running:
            _, err = process.communicate()
            if process.returncode == 2 and b"in use: another process writes there" in err:
                refused += 1
            elif process.returncode:
                failed.append(f"exit status {process.returncode}: {err.decode()}")
        failed += bench.wrong("two.npy")
        _forget(bench.folder / "two.npy")
    seen = f"whole each time; {refused} runs refused with the reason"
    return Outcome("three writers on one output", "started together", times, seen, failed)


def shared_cache(bench: Bench, times: int) -> Outcome:
    """Jobs and prunes at once on one cache, some killed."""
    failed = []
    few, right = bench.folder / "few.txt", bench.folder / "right.tsv"
    command = ["paraphrase", few, "--threshold", 0.5, "-q"]
    bench.run(*command, "-o", right)
    cache = bench.folder / "shared-cache"
    for turn in range(times):
        outs = [bench.folder / f"shared{n}.tsv" for n in range(4)]
        running = [bench.start(*command, "-o", out, "--cache", cache) for out in outs]
        victim = bench.start(*command, "-o", bench.folder / "victim.tsv", "--cache", cache)
        while any(process.poll() is None for process in running):
            if turn % 2 and cache.is_dir():
                subprocess.run(
                    [sys.executable, "-m", "lightmine", "cache", "prune", "--all", "--cache", str(cache)],
                    cwd=ROOT, capture_output=True, check=False,
                )  # fmt: skip
            victim.kill()
        victim.communicate()
        for process, out in zip(running, outs, strict=True):
            _, err = process.communicate()
            if process.returncode or err or out.read_bytes() != right.read_bytes():
                failed.append(f"other pairs, or said: {err.decode()}")
    done = bench.run(*command[:-1], "-o", bench.folder / "last.tsv", "--cache", cache)
    if "damaged" in done.stderr:
        failed.append(done.stderr)
    seen = "same pairs as without a cache, no entry damaged"
    return Outcome(
        "four jobs on one cache", "started together, one more killed, and every other time cache prune --all",
        4 * times, seen, failed,
    )  # fmt: skip


def damaged_cache(bench: Bench, times: int, rng: random.Random) -> Outcome:
    """A bit of an entry flipped, or an entry cut short."""
    failed = []
    few, right = bench.folder / "few.txt", bench.folder / "right.tsv"
    cache = bench.folder / "damaged-cache"
    command = ["paraphrase", few, "--threshold", 0.5, "--cache", cache, "-o"]
    bench.run(*command, right)
    for _ in range(times):
        entry = rng.choice(sorted(cache.glob("*/*.npy")))
        data = bytearray(entry.read_bytes())
        place = rng.randrange(len(data))
        if rng.random() < 0.3:
            del data[place:]
        else:
            data[place] ^= 1 << rng.randrange(8)
        entry.write_bytes(data)
        out = bench.folder / "mended.tsv"
        done = bench.run(*command, out)
        if "1 entry of the cache was damaged, and made again" not in done.stderr:
            failed.append(f"damage at byte {place} not noticed: {done.stderr}")
        if out.read_bytes() != right.read_bytes():
            failed.append(f"damage at byte {place} changed the pairs")
    seen = "each noticed and made again, same pairs"
    return Outcome("damaged cache entry", "a random bit flipped, or the entry cut", times, seen, failed)


def _goes_on(bench: Bench, name: str, *more: str | None) -> list[str]:
    options = [option for option in more if option]
    done = bench.run("encode", bench.source, "-o", bench.folder / name, *options)
    return [f"going on: {done.stderr}"] * bool(done.returncode) + bench.wrong(name)


def _refused(done: subprocess.CompletedProcess, *said: str) -> list[str]:
    right = (
        done.returncode == 2 and done.stderr.count("\n") <= 2 and all(each in done.stderr for each in said)
    )
    return [] if right else [f"exit status {done.returncode}: {done.stderr}"]


def _room(size: int) -> str:
    from lightmine.files import size_in_words

    return f"the whole needs {size_in_words(size)}: make room"


def _file_limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _forget(out: Path) -> None:
    for end in ("", ".json", ".part", ".part.jsonl"):
        Path(f"{out}{end}").unlink(missing_ok=True)


def faults(bench: Bench, wide: Path, times: int, seed: int) -> Iterator[Callable[[], Outcome | None]]:
    """All of them, to be called in this order."""
    rng = random.Random(seed)
    yield lambda: killed(bench, times, rng)
    yield lambda: killed_at_each_step(bench)
    yield lambda: stopped(bench, times, rng)
    yield lambda: full_disk(bench, max(1, times // 4), rng)
    yield lambda: full_disk_of_pairs(bench)
    yield lambda: full_tmpfs(bench)
    yield lambda: unreadable(bench)
    yield lambda: closed_pipe(bench)
    yield lambda: little_memory(bench, wide)
    yield lambda: jumping_clock(bench, max(1, times // 4), rng)
    yield lambda: two_writers(bench, max(1, times // 4))
    yield lambda: shared_cache(bench, max(1, times // 4))
    yield lambda: damaged_cache(bench, times, rng)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=Path, help="one sentence a line; without it sentences are made up")
    parser.add_argument("--times", type=int, default=20, help="of each fault that chance has a part in")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/faults.json")
    arguments = parser.parse_args()
    from tests.tiny import write_bundle

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = folder / "source.txt"
        source.write_text(arguments.lines.read_text() if arguments.lines else made_up(40_000, arguments.seed))
        wide = write_bundle(folder / "wide", dimension=1 << 16)
        bench = Bench(folder, source, window=4096)
        outcomes = []
        for fault in faults(bench, wide, arguments.times, arguments.seed):
            began = time.monotonic()
            outcome = fault()
            if outcome is None:
                print("a tmpfs cannot be mounted here: left out", file=sys.stderr)
                continue
            took = f"{outcome.times} times, {time.monotonic() - began:.0f} s"
            print(
                f"{outcome.fault}: {outcome.injected}, {took}: {outcome.failed or outcome.outcome}",
                flush=True,
            )
            outcomes.append(outcome)
        lines = source.read_bytes().count(b"\n")
    report = {
        "lines": lines,
        "seed": arguments.seed,
        "faults": [dataclasses.asdict(each) for each in outcomes],
    }
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(any(outcome.failed for outcome in outcomes))


def made_up(count: int, seed: int) -> str:
    """Lines of all kinds: repeated, blank, long, of several scripts, with odd characters in them."""
    rng = random.Random(seed)
    words = ["the", "cat", "dog", "sat", "ran", "under", "sky", "Hund", "猫", "собака", "\u2028", "\x00"]
    kinds = [lambda: "", lambda: " \t", lambda: "\u3000", lambda: "word " * 900]
    lines = []
    for number in range(count):
        text = " ".join(rng.choices(words, k=rng.randint(1, 15)))
        lines.append(rng.choice(kinds)() if rng.random() < 0.02 else f"{text} {number % 997}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
