"""How much memory this process may still take, and who says so."""

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
from lightmine.system.threads import groups

try:
    import resource
except ImportError:  # not POSIX: no such limits there
    resource = None  # type: ignore[assignment]

ROOT = Path("/")
FOLDERS = {"": ("", "unified"), "memory": ("memory",)}
# Version 2 of cgroups, then version 1, which writes a number near 2**63 where there is no limit.
CGROUP = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
NO_LIMIT = 1 << 60


@dataclasses.dataclass(frozen=True)
class MemoryLimit:
    """So many bytes, and who grants no more."""

    size: int
    source: str


def check_memory(size: int, what: str, *, root: Path | None = None) -> None:
    """Refuse what cannot be held, before the work and not by the kernel in the midst of it.

    Raises
    ------
    BudgetError
        `size` bytes are more than a limit leaves; it says how many, and whose limit.

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
    """What each limit leaves: RLIMIT_AS, the cgroups that this process is in, the machine itself."""
    if resource is not None:
        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            yield MemoryLimit(soft - _kilobytes(root / "proc/self/status", "VmSize"), "RLIMIT_AS (ulimit -v)")
    for folder in groups(root, FOLDERS):
        for limit, usage in CGROUP:
            with contextlib.suppress(OSError, ValueError):
                most, held = (int((folder / name).read_text()) for name in (limit, usage))
                if most < NO_LIMIT:
                    # Pages of files can go at any time.
                    held -= _kept_files(folder)
                    yield MemoryLimit(most - held, f"the cgroup /{folder.relative_to(root)}")
    total = _kilobytes(root / "proc/meminfo", "MemTotal") + _kilobytes(root / "proc/meminfo", "SwapTotal")
    if total:
        yield MemoryLimit(total, "the machine, empty,")


def _kilobytes(path: Path, name: str) -> int:
    """A line like ``VmSize: 1024 kB``, in bytes; 0 where there is none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in path.read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
    return 0


def _kept_files(folder: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            if line.startswith(("file ", "cache ")):
                return int(line.split()[1])
    return 0


def mmap_zeros(*shape: int) -> NDArray[np.float32]:
    """Zeros on pages of their own, which go back to the system with the array.

    An array of some megabytes that comes and goes in turn with small ones does not, from `numpy.empty`: glibc
    maps the first, and once that is freed puts all that are no larger among the small ones, where holes stay
    between them. Encoding a million lines grew by 60 MiB so.

    Examples
    --------
    >>> mmap_zeros(2, 3).sum()
    np.float32(0.0)
    """
    # Copied when written: else a forked process would write into its parent's array.
    pages = mmap.mmap(-1, 4 * math.prod(shape), access=mmap.ACCESS_COPY)
    return np.frombuffer(pages, np.float32).reshape(shape)


def trim_heap() -> None:
    """Let the system have what was freed, where the C library keeps it for later (glibc).

    It keeps large blocks too once some were freed, a set for every thread: a process that allocates and
    frees arrays of many megabytes in turns grows to more than it ever held at a time.
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
