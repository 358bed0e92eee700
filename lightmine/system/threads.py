"""How many threads this process may keep busy, and who says so.

The encoder and the engine both ask here, so that a container's share is divided once.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from lightmine.errors import ArgumentError

VARIABLE = "LIGHTMINE_THREADS"
# What OpenMP and most numerical libraries go by; where VARIABLE is set it does not count.
OPENMP = "OMP_NUM_THREADS"
ROOT = Path("/")
# Where each controller is found: version 1 mounts a folder for each, alone or with its companion; version 2
# has one tree, which a hybrid machine mounts beside those of version 1.
FOLDERS = {"": ("", "unified"), "cpu": ("cpu", "cpu,cpuacct"), "cpuset": ("cpuset",)}


@dataclasses.dataclass(frozen=True)
class Limit:
    """So many threads, and where the number comes from."""

    threads: int
    source: str


def default_threads() -> int:
    """The smallest of all limits, at least 1."""
    return thread_limit().threads


def thread_limit() -> Limit:
    """The limit that counts: the smallest; of equal ones the first that `thread_limits` names.

    Raises
    ------
    ArgumentError
        LIGHTMINE_THREADS is not a whole number of at least 1.
    """
    return min(thread_limits(), key=lambda limit: limit.threads)


def thread_limits(root: Path | None = None) -> list[Limit]:
    """Every limit there is: LIGHTMINE_THREADS or else OMP_NUM_THREADS, affinity, quotas and sets of cgroups.

    `root` is the folder that ``proc`` and ``sys`` lie in.
    """
    root = root or ROOT
    found = list(_asked())
    if hasattr(os, "sched_getaffinity"):
        found.append(Limit(len(os.sched_getaffinity(0)), "affinity"))
    else:
        found.append(Limit(os.cpu_count() or 1, "processors"))
    for folder in groups(root):
        name = f"/{folder.relative_to(root)}"
        if share := quota(folder):
            # Half a processor is one thread; two and a half keep three busy, most of the time.
            found.append(Limit(max(1, math.ceil(share)), f"cgroup quota of {share:g} processors, {name}"))
        if allowed := processors(folder):
            found.append(Limit(allowed, f"cgroup processor set, {name}"))
    return found


def quota(folder: Path) -> float | None:
    """Processors' worth of time that one cgroup grants (version 2 or 1); None where it sets no limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            granted, period = " ".join((folder / name).read_text() for name in names).split()
            if granted != "max" and int(granted) > 0:
                return int(granted) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None


def processors(folder: Path) -> int | None:
    """How many processors a cgroup's set holds; None where it names none.

    Sets are written like ``0-3,8``.
    """
    for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
        try:
            parts = [part.split("-") for part in (folder / name).read_text().strip().split(",") if part]
            if count := sum(int(part[-1]) - int(part[0]) + 1 for part in parts):
                return count
        except (OSError, ValueError):
            continue
    return None


def _asked() -> Iterator[Limit]:
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        # A list is of nested levels, of which the first is ours. What is no number OpenMP ignores, too.
        outer = os.environ.get(OPENMP, "").partition(",")[0].strip()
        if outer.isascii() and outer.isdigit() and int(outer):
            yield Limit(int(outer), OPENMP)
        return
    if not (value.isascii() and value.isdigit() and int(value)):
        raise ArgumentError(
            f"{VARIABLE} must be a whole number of at least 1, not {value!r}; mend or unset it"
        )
    yield Limit(int(value), VARIABLE)


def groups(root: Path, folders: Mapping[str, tuple[str, ...]] = FOLDERS) -> Iterator[Path]:
    """Folders of the cgroups that this process is in, and of those that they are in: all limits count.

    `folders` tells where each controller that matters is found.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = [f"{number}:{name}:/" for number, name in enumerate(folders)]
    seen = set()
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(","):
            for name in folders.get(controller, ()):
                base = root / "sys/fs/cgroup" / name
                # Inside a container the path can be the host's, of which only the end is mounted: then
                # nothing lies there, and the base itself is the container's own group.
                inner = base / path.strip("/")
                for folder in (inner, *inner.parents):
                    if folder.is_relative_to(base) and folder not in seen and folder.is_dir():
                        seen.add(folder)
                        yield folder
