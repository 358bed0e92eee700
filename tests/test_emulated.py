"""Processors that this machine is not: Debian's qemu-user plays them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EMULATOR = shutil.which("qemu-x86_64")


@pytest.mark.skipif(EMULATOR is None, reason="qemu-x86_64 is absent: apt-get install qemu-user")
@pytest.mark.parametrize(
    ("processor", "qmax"),
    # AVX2 and AVX-512 without VNNI saturate 8-bit operands; SSE does not.
    [("Haswell", 63), ("Skylake-Server", 63), ("Nehalem", 127)],
)
def test_the_engine_is_exact_on_processors_that_saturate(processor, qmax):
    # NumPy's own AVX2 and AVX-512 argsort crashes under this emulator (qemu 7.2, numpy 2.4); ours is the
    # product in ONNX Runtime, which keeps its path.
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"}
    done = subprocess.run(
        [EMULATOR, "-cpu", processor, sys.executable, "-m", "tests.emulated"],
        capture_output=True, text=True, timeout=300, env=environment, check=False,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == f"levels {qmax}, 127 right: {qmax == 127}"
