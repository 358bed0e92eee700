"""Signals, pipes, and standard streams that are not there."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from tests.command_line import QUESTIONS, ROOT


def shell(command):
    command = command.replace("lightmine", f"{sys.executable} -m lightmine")
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# A signal to itself when a module is imported, or when Python is about to leave.
SIGNALLED = """
import atexit, importlib.abc, os, signal, sys

class Importing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == moment:
            os.kill(os.getpid(), number)

number, moment = int(sys.argv.pop(1)), sys.argv.pop(1)
sys.meta_path.insert(0, Importing())
if moment == "leaving":
    atexit.register(os.kill, os.getpid(), number)
from lightmine.__main__ import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("moment", ["click", "lightmine.encoder.encoder", "leaving"])
def test_a_signal_is_answered_from_the_first_import_to_the_end(tmp_path, number, status, moment):
    out = tmp_path / "x.npy"
    command = [
        sys.executable,
        "-c",
        SIGNALLED,
        str(int(number)),
        moment,
        "encode",
        QUESTIONS,
        "-q",
        "-o",
        out,
    ]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False, stdin=subprocess.DEVNULL)
    # What is done is done: a signal that comes while Python tidies up makes no failure of it.
    assert (done.returncode, done.stderr) == ((0 if moment == "leaving" else status), b"")
    assert out.exists() == (moment == "leaving")


@pytest.mark.slow
def test_a_reader_that_stops_early_ends_it_as_any_filter_would():
    command = f"lightmine paraphrase {QUESTIONS} --threshold none"
    done = shell(f"{command} | head -c 9; echo ${{PIPESTATUS[0]}} >&2")
    assert (done.stdout, done.stderr) == ("score\tlef", "141\n")


@pytest.mark.slow
def test_closed_standard_streams_put_nothing_where_it_does_not_belong(tmp_path):
    done = shell(f"lightmine paraphrase {QUESTIONS} --threshold none -o - 2>&-")
    assert done.returncode == 0
    assert "lightmine:" not in done.stdout
    done = shell(f"lightmine paraphrase {QUESTIONS} --threshold none -o - >&-")
    assert done.returncode == 2
    assert done.stderr == "lightmine: standard output: cannot be written: Bad file descriptor\n"
    out = tmp_path / "pairs.tsv"
    assert shell(f"lightmine paraphrase {QUESTIONS} --threshold none -o {out} <&- >&- 2>&-").returncode == 0
    assert out.read_text().startswith("score\t")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_with_the_status_that_tells_and_leaves_no_half_file(tmp_path, number, status):
    # A pipe that gives nothing more keeps it waiting in the midst of its input.
    process = subprocess.Popen(
        [sys.executable, "-m", "lightmine", "encode", "-", "-o", str(tmp_path / "x.npy")],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    process.stdin.write(b"one\ntwo\n")
    process.stdin.flush()
    while not (tmp_path / "x.npy.part").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert b"Traceback" not in err
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [(24, 80), (0, 0), (0, 80), (24, 0)])
def test_progress_is_whole_on_terminals_that_do_not_know_their_size(tmp_path, rows, columns):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    done = subprocess.run(
        [sys.executable, "-m", "lightmine", "encode", QUESTIONS, "-o", tmp_path / "x.npy"],
        stderr=theirs, cwd=ROOT, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert done.returncode == 0
    assert re.search(rb"\rencoding: [^\r]*sentence/s\]\r", shown), shown
