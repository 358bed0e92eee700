"""The process, as ``lightmine`` and as ``python -m lightmine``.

Asked to stop, it says so by its exit status from the first line here on: 143 after SIGTERM, 130 after Ctrl-C,
and no traceback. Once the work is done its status is settled, and a signal that comes while Python tidies up
changes it no more: who sees 0 has the whole output.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

# What a shell reports of a process that ended by signal 2 or 15.
INTERRUPTED, TERMINATED = 130, 143


def main() -> None:
    """Run the command line."""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        # Here, because it takes most of a short command's time, and a signal may come in it.
        from lightmine.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Leave by way of every `finally`, so that what is half done is tidied away."""
    sys.exit(TERMINATED)


if __name__ == "__main__":
    main()
