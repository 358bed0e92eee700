"""`make soak`, small: the same code, some seconds of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.soak import CORPORA, soak_threads, trend, verdict

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("soak") / "soak.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "jobs", "lines", "--json", path, "--jobs",
         str(2 * CORPORA), "--lines", "120000"],
        cwd=ROOT, env=os.environ | {"LIGHTMINE_THREADS": "2"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert path.exists(), done.stderr
    return json.loads(path.read_text()), done.stdout


def test_jobs_give_the_same_answers_each_time_and_leave_no_handle_and_no_thread(report):
    jobs = report[0]["jobs"]
    assert (jobs["jobs"], jobs["wrong"]) == (2 * CORPORA, 0)
    assert len(jobs["handles"]) == len(jobs["threads"]) == 1
    assert f"| {2 * CORPORA} mining jobs of two kinds |" in report[1]


def test_lines_come_out_all_and_right_in_memory_that_does_not_grow_with_them(report):
    lines = report[0]["lines"]
    assert (lines["lines"], lines["rows"], lines["wrong"]) == (120_000, 120_000, 0)
    assert lines["sampled_rows"] >= 8
    # The vectors alone are 123 MB; a window's are 17, and several are under way.
    assert max(lines["memory_by_tenths"]) - lines["memory_by_tenths"][0] < 80e6


def test_sixteen_threads_share_an_encoder_and_the_engine_and_all_are_right():
    found = soak_threads(threads=16, rounds=2, size=60)
    assert found["wrong"] == 0
    assert found["furthest_from_serial"] < 1e-6
    assert verdict("threads", found) == ""


def test_growth_is_seen_and_said():
    grown = [{"memory": 100 + step, "handles": 4 + step // 10, "threads": 2} for step in range(20)]
    found = trend(grown) | {"wrong": 1}
    assert (found["memory_after_warm_up"], found["memory_at_the_end"]) == (103, 119)
    assert verdict("jobs", found) == "1 wrong answers, memory grew by 15.5%, handles varied: [4, 5]"
    assert verdict("lines", found | {"wrong": 0, "memory_growth": 0.01}) == ""
