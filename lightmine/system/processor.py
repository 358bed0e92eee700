"""The instruction sets of this machine's processor."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# The targets that a bundle names. A processor is one of them if it has at least one of its flags.
TARGETS = {
    "avx2": {"avx2"},
    "avx512": {"avx512bw"},
    "vnni": {"avx512_vnni", "avx_vnni"},
    "amx": {"amx_int8"},
}


@functools.cache
def features() -> frozenset[str]:
    """The flags of the processor as Linux names them; empty on other systems."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":") for line in lines)
    return frozenset(
        next((text.split() for name, _, text in flags if name.strip() in ("flags", "Features")), ())
    )


def targets() -> frozenset[str]:
    """The targets that this processor is: ``avx2``, ``avx512``, ``vnni``, ``amx`` and ``arm64``."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return frozenset({"arm64"})
    return frozenset(name for name, flags in TARGETS.items() if flags & features())
