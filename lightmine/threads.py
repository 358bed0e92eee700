"""How many threads this process may keep busy."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def default_threads() -> int:
    """One for each processor that the process may run on and its container's quota pays for."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, quota(CGROUP) or allowed))


def quota(root: Path) -> int | None:
    """Processors that a cgroup (version 2 or 1) grants, rounded up; None where it sets no limit."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            granted, period = " ".join((root / name).read_text() for name in files).split()
            if granted != "max" and int(granted) > 0:
                return math.ceil(int(granted) / int(period))
        except (OSError, ValueError):
            continue
    return None
