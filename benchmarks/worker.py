"""One contestant, one task, one process: time and peak memory as JSON on standard output.

python -m benchmarks.worker CONTESTANT TASK '{"x": "vectors.npy", "k": 10}' [--save arrays.npz]
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def load(options: dict[str, Any]) -> dict[str, Any]:
    """Files that the options name become what is in them; ``"rows"`` limits how much of it."""
    rows = options.pop("rows", None)
    for name in ("x", "y"):
        if name in options:
            options[name] = np.ascontiguousarray(np.load(options[name])[:rows])
    if "texts" in options:
        options["texts"] = Path(options["texts"]).read_text(encoding="utf-8").split("\n")[:rows]
    return options


def memory(field: str) -> int:
    """Resident memory now (VmRSS) or its peak (VmHWM), in bytes, as Linux counts it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("contestant")
    parser.add_argument("task")
    parser.add_argument("options", type=json.loads)
    parser.add_argument("--save", type=Path)
    arguments = parser.parse_args()
    module = importlib.import_module(f"benchmarks.contestants.{arguments.contestant}")
    work = getattr(module, arguments.task)(**load(arguments.options))
    if work is None:
        sys.exit(f"{arguments.contestant} does not do this variant of {arguments.task}")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew here
    before = memory("VmRSS")
    start, thread_time = time.perf_counter(), time.process_time()
    found = work()
    seconds = time.perf_counter() - start
    finished, thread_time = time.time(), time.process_time() - thread_time
    if arguments.save:
        np.savez(arguments.save, **found)
    print(json.dumps({
        "contestant": arguments.contestant, "version": module.VERSION, "seconds": seconds,
        "peak_beyond_input": memory("VmHWM") - before, "peak": memory("VmHWM"),
        "thread_seconds": thread_time, "finished": finished,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
