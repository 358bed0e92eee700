"""How many threads this process may keep busy."""

import os


def default_threads() -> int:
    """One for each processor that the process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
