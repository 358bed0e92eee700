"""Processors that this machine is not: Debian's qemu-user plays them."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.variants import needs_kernel

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
X86, ARM = (shutil.which(f"qemu-{name}") for name in ("x86_64", "aarch64"))


@needs_kernel
@pytest.mark.skipif(X86 is None, reason="qemu-x86_64 is absent: apt-get install qemu-user")
@pytest.mark.parametrize(
    ("processor", "kernel"),
    [
        ("Nehalem", None), ("Haswell", "avx2"), ("Skylake-Server", "avx2"),
        ("Cascadelake-Server", "avx512-vnni"), ("Icelake-Server", "avx512-vnni"), ("SapphireRapids", "amx"),
    ],
)  # fmt: skip
def test_the_engine_is_exact_on_other_processors(processor, kernel):
    # NumPy's own AVX2 and AVX-512 argsort crashes under this emulator (qemu 7.2, numpy 2.4).
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"}
    done = subprocess.run(
        [X86, "-cpu", processor, sys.executable, "-m", "tests.emulated"],
        capture_output=True, text=True, timeout=400, env=environment, check=False, cwd=ROOT,
    )  # fmt: skip
    if "unable to find CPU model" in done.stderr:
        pytest.skip(f"this qemu has no {processor}")
    assert done.returncode == 0, done.stderr[-2000:]
    found = ast.literal_eval(done.stdout)
    # The answers are right anyway; what is not emulated was not tried.
    if found["kernel"] != kernel and "TCG doesn't support requested feature" in done.stderr:
        assert found["kernel"] == "avx2"
        pytest.skip(f"this qemu has no AVX-512, so {processor} ran {found['kernel']}, rightly")
    assert found["kernel"] == found["reason"] == kernel or kernel is None
    if kernel is None:
        assert found["reason"] == "no variant of the compiled kernel suits this processor"
    assert found["engines"] == ["numpy", *(["portable", kernel] if kernel else [])]


@pytest.mark.skipif(ARM is None, reason="qemu-aarch64 is absent: apt-get install qemu-user")
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed")
def test_the_kernel_is_right_on_arm(tmp_path):
    program = tmp_path / "stress"
    options = (
        "-target aarch64-linux-musl -static -std=gnu11 -O2 -fno-math-errno -fno-sanitize=undefined -DGUARDED"
    )
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *options.split(), "native/stress.c", "-o", program, "-lm"],
        cwd=ROOT, check=True, timeout=600,
    )  # fmt: skip
    for processor, variants in (("max", ["portable", "neon-dotprod"]), ("cortex-a53", ["portable"])):
        for threads in (1, 3):
            done = subprocess.run(
                [ARM, "-cpu", processor, program, "10", str(threads)],
                capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            right = [line.split(":")[0] for line in done.stdout.splitlines() if line.endswith("are right")]
            assert right == variants
