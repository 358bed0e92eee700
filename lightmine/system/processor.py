"""What this machine's processor can do."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# The targets of a bundle, and the flags of which a processor needs one to be such a target.
TARGETS = {
    "avx2": {"avx2"},
    "avx512": {"avx512bw"},
    "vnni": {"avx512_vnni", "avx_vnni"},
    "amx": {"amx_int8"},
}


@functools.cache
def features() -> frozenset[str]:
    """The processor's flags as Linux names them; empty where it does not say."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":") for line in lines)
    return frozenset(
        next((text.split() for name, _, text in flags if name.strip() in ("flags", "Features")), ())
    )


def targets() -> frozenset[str]:
    """Which targets this processor is: those of ``avx2``, ``avx512``, ``vnni``, ``amx`` and ``arm64``."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return frozenset({"arm64"})
    return frozenset(name for name, flags in TARGETS.items() if flags & features())
