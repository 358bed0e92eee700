"""Ctrl-C ends a job of the compiled kernel within a second, and its workers with it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.variants import needs_kernel

pytestmark = [pytest.mark.slow, needs_kernel]

# As many rows as a minute is needed for, of one thread and many components.
JOB = """
import sys, threading, time
import numpy as np
import lightmine
x = np.random.default_rng(0).standard_normal((150_000, 512), np.float32)
x /= np.linalg.norm(x, axis=1, keepdims=True)
started = []

def tell(done, total):
    if done and not started:
        started.append(done)
        print("mining", flush=True)

options = dict(kernel="native", threads=2, progress=tell)
if len(sys.argv) > 2:
    options["resume"] = sys.argv[2]
print("begun", flush=True)
try:
    if sys.argv[1] == "neighbors":
        lightmine.neighbors(x, k=10, **options)
    else:
        lightmine.mine_paraphrases(x, top_k=100, max_pairs=500_000, **options)
except KeyboardInterrupt:
    print(threading.active_count(), flush=True)
    raise
"""


def start(*arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", JOB, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def interrupt(process):
    """Seconds until the process says that it was interrupted; no worker is left then."""
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "1\n"
    seconds = time.monotonic() - begin
    _, errors = process.communicate(timeout=20)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    return seconds


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("job", ["neighbors", "paraphrase"])
def test_ctrl_c_ends_a_native_job_within_a_second(job):
    process = start(job)
    assert process.stdout.readline() == "mining\n"
    assert interrupt(process) < 1.0


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("moment", [0.3, 0.8, 1.6])
def test_ctrl_c_ends_what_comes_before_mining_too(moment):
    # Rows are checked and compressed, and min_score is estimated.
    process = start("paraphrase")
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    out, errors = process.communicate(timeout=20)
    # The process itself ends a little later.
    assert time.monotonic() - begin < 2.0
    assert out.splitlines()[-1:] == ["1"]
    assert errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_saves_what_was_found(tmp_path):
    process = start("neighbors", str(tmp_path))
    assert process.stdout.readline() == "mining\n"
    # Writing the checkpoint takes its own time.
    assert interrupt(process) < 5.0
    assert (tmp_path / "mining.checkpoint").stat().st_size > 100_000
