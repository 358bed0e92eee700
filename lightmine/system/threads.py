"""How many threads this process may use, and which limit says so.

The encoder and the engine both use this number, so that they share what a container grants.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path

from lightmine.errors import ArgumentError
from lightmine.system.cgroups import CPU_MOUNTS, cgroup_folders, cpu_quota, cpu_set_size

VARIABLE = "LIGHTMINE_THREADS"
# The variable of OpenMP and of most numerical libraries; ignored if VARIABLE is set.
OPENMP = "OMP_NUM_THREADS"
ROOT = Path("/")


@dataclasses.dataclass(frozen=True)
class ThreadLimit:
    """A number of threads, and what sets it."""

    threads: int
    source: str


def default_threads() -> int:
    """The smallest of all limits, at least 1."""
    return thread_limit().threads


def thread_limit() -> ThreadLimit:
    """The smallest limit; of equal ones the first that `thread_limits` gives.

    Raises
    ------
    ArgumentError
        LIGHTMINE_THREADS is not a whole number of at least 1.
    """
    return min(thread_limits(), key=lambda limit: limit.threads)


def thread_limits(root: Path | None = None) -> list[ThreadLimit]:
    """All limits: LIGHTMINE_THREADS or else OMP_NUM_THREADS, affinity, quotas and processor sets of cgroups.

    `root` is the folder that has ``proc`` and ``sys``.
    """
    root = root or ROOT
    found = list(_from_environment())
    if hasattr(os, "sched_getaffinity"):
        found.append(ThreadLimit(len(os.sched_getaffinity(0)), "affinity"))
    else:
        found.append(ThreadLimit(os.cpu_count() or 1, "processors"))
    for folder in cgroup_folders(root, CPU_MOUNTS):
        name = f"/{folder.relative_to(root)}"
        if quota := cpu_quota(folder):
            # Rounded up: half a processor is one thread, two and a half are three.
            source = f"cgroup quota of {quota:g} processors, {name}"
            found.append(ThreadLimit(max(1, math.ceil(quota)), source))
        if size := cpu_set_size(folder):
            found.append(ThreadLimit(size, f"cgroup processor set, {name}"))
    return found


def _from_environment() -> Iterator[ThreadLimit]:
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        # A list is of nested levels; the first level is the one here. OpenMP ignores what is no number, too.
        outer = os.environ.get(OPENMP, "").partition(",")[0].strip()
        if outer.isascii() and outer.isdigit() and int(outer):
            yield ThreadLimit(int(outer), OPENMP)
        return
    if not (value.isascii() and value.isdigit() and int(value)):
        raise ArgumentError(
            f"{VARIABLE} must be a whole number of at least 1, not {value!r}; correct or unset it"
        )
    yield ThreadLimit(int(value), VARIABLE)
