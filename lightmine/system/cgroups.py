"""What the cgroups of this process, version 1 or 2, grant: processor time, processors and memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

# Folders of sys/fs/cgroup by controller. Version 1 mounts a folder for each, alone or with another; version 2
# has one tree, whose controller is named "", and a hybrid system mounts it as "unified".
CPU_MOUNTS = {"": ("", "unified"), "cpu": ("cpu", "cpu,cpuacct"), "cpuset": ("cpuset",)}
MEMORY_MOUNTS = {"": ("", "unified"), "memory": ("memory",)}
# Limit and usage in version 2, then in version 1, which writes a number near 2**63 if there is no limit.
MEMORY_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
NO_LIMIT = 1 << 60


def cgroup_folders(root: Path, mounts: Mapping[str, tuple[str, ...]]) -> Iterator[Path]:
    """The cgroups that this process is in, and their parents: the limits of all of them apply.

    Parameters
    ----------
    root : path
        The folder that has ``proc`` and ``sys``.
    mounts : mapping
        `CPU_MOUNTS` or `MEMORY_MOUNTS`.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = [f"{number}:{name}:/" for number, name in enumerate(mounts)]
    seen = set()
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(","):
            for name in mounts.get(controller, ()):
                base = root / "sys/fs/cgroup" / name
                # In a container the path can be that of the host, of which only the end is mounted. Then it
                # does not exist here, and the base is the cgroup of the container.
                inner = base / path.strip("/")
                for folder in (inner, *inner.parents):
                    if folder.is_relative_to(base) and folder not in seen and folder.is_dir():
                        seen.add(folder)
                        yield folder


def cpu_quota(folder: Path) -> float | None:
    """How many processors' time a cgroup grants; None if it sets no limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            granted, period = " ".join((folder / name).read_text() for name in names).split()
            if granted != "max" and int(granted) > 0:
                return int(granted) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None


def cpu_set_size(folder: Path) -> int | None:
    """How many processors the set of a cgroup has (``0-3,8`` has five); None if it has no set."""
    for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
        try:
            parts = [part.split("-") for part in (folder / name).read_text().strip().split(",") if part]
            if count := sum(int(part[-1]) - int(part[0]) + 1 for part in parts):
                return count
        except (OSError, ValueError):
            continue
    return None


def memory_limit(folder: Path) -> int | None:
    """Bytes of the memory limit of a cgroup; None if it sets no limit."""
    for limit_name, _ in MEMORY_FILES:
        with contextlib.suppress(OSError, ValueError):
            if (limit := int((folder / limit_name).read_text())) < NO_LIMIT:
                return limit
    return None


def memory_left(folder: Path) -> Iterator[int]:
    """Bytes that the memory limit of a cgroup leaves; nothing if it sets no limit."""
    for limit_name, usage_name in MEMORY_FILES:
        with contextlib.suppress(OSError, ValueError):
            limit, usage = (int((folder / name).read_text()) for name in (limit_name, usage_name))
            if limit < NO_LIMIT:
                # The kernel can drop cached pages of files at any time.
                yield limit - (usage - _file_cache(folder))


def _file_cache(folder: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            if line.startswith(("file ", "cache ")):
                return int(line.split()[1])
    return 0
