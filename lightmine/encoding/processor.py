"""What this machine's processor can do, and whether a bundle suits it."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

from lightmine.encoding.bundle import Manifest
from lightmine.errors import BundleError

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


def check_suits(manifest: Manifest) -> None:
    """Refuse a bundle on a processor where its arithmetic would be wrong.

    8-bit weights overflow on x86 without VNNI, and the vectors are wrong without a word.

    Raises
    ------
    BundleError
        None of the bundle's targets is this processor.
    """
    if manifest.cpus and not targets() & set(manifest.cpus):
        here = ", ".join(sorted(targets())) or "none of the targets"
        raise BundleError(
            f"{manifest.name}: its {manifest.precision} graph is for processors with "
            f"{' or '.join(manifest.cpus)}, and this one has {here}: its vectors would be wrong here; "
            "export the model with --target for this processor, or with --precision fp32"
        )
