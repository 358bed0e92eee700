"""How much memory this process may still use, and which limit says so."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import math
import mmap
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import BudgetError
from lightmine.system.atomic_files import format_size
from lightmine.system.cgroups import MEMORY_MOUNTS, cgroup_folders, memory_left, memory_limit

try:
    import resource
except ImportError:  # not POSIX: no such limits there
    resource = None  # type: ignore[assignment]

ROOT = Path("/")


@dataclasses.dataclass(frozen=True)
class MemoryLimit:
    """A number of bytes, and what sets it."""

    size: int
    source: str


def check_memory(size: int, what: str, *, root: Path | None = None) -> None:
    """Refuse a job that needs more memory than there is, before it starts.

    Raises
    ------
    BudgetError
        `size` bytes are more than a limit leaves; the message names the limit.

    Examples
    --------
    >>> check_memory(1 << 10, "a thousand numbers")
    >>> check_memory(1 << 60, "more than there is")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lightmine.errors.BudgetError: more than there is: needs 1.15e+03 PB of memory, and ... leaves ...
    """
    least = min(memory_limits(root or ROOT), key=lambda room: room.size, default=None)
    if least is not None and size > least.size:
        raise BudgetError(
            f"{what}: needs {format_size(size)} of memory, and {least.source} leaves "
            f"{format_size(max(0, least.size))}; grant more, or mine fewer sentences at a time"
        )


def memory_limits(root: Path) -> Iterator[MemoryLimit]:
    """What each limit leaves: RLIMIT_AS, the cgroups of this process, the memory of the machine."""
    if resource is not None:
        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            yield MemoryLimit(soft - _kilobytes(root / "proc/self/status", "VmSize"), "RLIMIT_AS (ulimit -v)")
    for folder in cgroup_folders(root, MEMORY_MOUNTS):
        for left in memory_left(folder):
            yield MemoryLimit(left, f"the cgroup /{folder.relative_to(root)}")
    total = _kilobytes(root / "proc/meminfo", "MemTotal") + _kilobytes(root / "proc/meminfo", "SwapTotal")
    if total:
        yield MemoryLimit(total, "the machine, empty,")


def container_memory(root: Path | None = None) -> int | None:
    """Bytes that the cgroups of this process grant it in all; None if none of them sets a limit."""
    limits = (memory_limit(folder) for folder in cgroup_folders(root or ROOT, MEMORY_MOUNTS))
    return min((limit for limit in limits if limit is not None), default=None)


def _kilobytes(path: Path, name: str) -> int:
    """The bytes of a line like ``VmSize: 1024 kB``; 0 if there is none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in path.read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
    return 0


def mmap_zeros(*shape: int) -> NDArray[np.float32]:
    """Zeros in memory pages of their own, which the system gets back when the array is deleted.

    With `numpy.empty` this is not so for arrays of some megabytes: after glibc has freed the first of them,
    it takes the next ones from its heap, where small arrays keep the pages between them in use. Encoding a
    million lines grew by 60 MiB.

    Examples
    --------
    >>> mmap_zeros(2, 3).sum()
    np.float32(0.0)
    """
    # Copy on write: otherwise a forked process would write to the array of its parent.
    pages = mmap.mmap(-1, 4 * math.prod(shape), access=mmap.ACCESS_COPY)
    return np.frombuffer(pages, np.float32).reshape(shape)


def trim_heap() -> None:
    """Return freed memory to the system, which glibc keeps for later allocations.

    glibc keeps large blocks too after the first were freed, in a heap for each thread. So a process that
    allocates and frees large arrays by turns grows to more than it ever used at a time.
    """
    if _trim is not None:
        _trim(0)


def _library_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library
        return None
    return found


_trim = _library_trim()
