"""The compiled kernel under sanitizers, some rounds of what `make sanitize` runs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lightmine.engine.native import VARIANTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
COMPILER = shutil.which("gcc") or shutil.which("clang")
PLAIN = [
    "-std=gnu11",
    "-g",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-math-errno",
    "-pthread",
    "native/stress.c",
]


@pytest.mark.skipif(COMPILER is None, reason="neither gcc nor clang is installed")
@pytest.mark.parametrize(
    ("options", "rounds", "threads"),
    [
        (["-fsanitize=address,undefined", "-fno-sanitize-recover=all"], 15, 1),
        # Sanitizers do not see what tile registers read; a page that must not be read does.
        (["-DGUARDED"], 50, 1),
        (["-DGUARDED"], 50, 4),
        (["-fsanitize=thread"], 8, 4),
    ],
    ids=["address, undefined", "guarded", "guarded, threads", "thread"],
)
def test_the_kernel_reads_and_writes_only_what_it_is_given(tmp_path, options, rounds, threads):
    program = tmp_path / "stress"
    built = subprocess.run(
        [COMPILER, *PLAIN, *options, "-o", program, "-lm"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "cannot find" in built.stderr or "unsupported option" in built.stderr:
        pytest.skip(f"{COMPILER} has no library for {options[0]}")
    assert built.returncode == 0, built.stderr
    done = subprocess.run(
        [program, str(rounds), str(threads)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == list(VARIANTS)
    assert lines[0] == f"portable: {rounds} rounds on {threads} threads are right"
