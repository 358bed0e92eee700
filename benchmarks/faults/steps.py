"""For n = 1, 2 ...: an encoding that is killed at its n-th step on disk and then resumed; prints JSON.

python -m benchmarks.faults.steps SOURCE OUT.npy [OPTION...]

Processes are forked, so that they need not import everything again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.bench import forget
from benchmarks.faults.driver import prepare

STEPS = ("fsync", "replace", "rename", "unlink", "truncate")


def encode(command: list[str], *, killed_at: int = 0) -> int:
    """The exit status of a process that is killed before this step, or never for 0."""
    import lightmine.cli
    import lightmine.encoder.providers

    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = killed_at

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)

        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    sys.argv = ["lightmine", "encode", *command]
    try:
        lightmine.cli.main()
    except SystemExit as end:
        os._exit(end.code or 0)
    raise AssertionError("the command line ends by SystemExit")


def half_done(out: Path) -> dict[str, str]:
    """Hashes of the files that NumPy can read, by name."""
    found = {}
    for path in (out, Path(f"{out}.part")):
        with contextlib.suppress(ValueError, FileNotFoundError):
            np.load(path, mmap_mode="r", allow_pickle=False)
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def main() -> None:
    source, out, *options = sys.argv[1:]
    command = [source, "-o", out, "-q", *options]
    prepare()
    found: list[Any] = []
    while encode(command, killed_at=len(found) + 1) != 0:
        readable = half_done(Path(out))
        status = encode(command)
        assert status == 0, f"resumed after step {len(found) + 1}: exit status {status}"
        data = Path(out).read_bytes()
        whole = hashlib.sha256(data).hexdigest()
        made = hashlib.sha256(data + Path(f"{out}.json").read_bytes()).hexdigest()
        found.append([made, [name for name, sha in readable.items() if sha != whole]])
        forget(Path(out))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
