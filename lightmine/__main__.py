"""The process, as ``lightmine`` and as ``python -m lightmine``.

From the first line here on, a signal that asks the process to stop gives an exit status of its own and no
traceback: 143 after SIGTERM, 130 after Ctrl-C. After the work is done, signals are ignored while Python
exits, so that a status of 0 means that the output is complete.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

# Signals that ask a process to stop; a shell reports 128 more than their numbers.
STOPS = (signal.SIGINT, signal.SIGTERM)
_asked: list[int] = []


def main() -> None:
    """Run the command line."""
    try:
        for number in STOPS:
            # A signal that is ignored stays ignored: a shell does so with Ctrl-C for background jobs.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _stop)
        # Imported here, because it takes most of a short command's time, and a signal can come meanwhile.
        from lightmine.cli import main as command

        command()
    except SystemExit as end:
        # An extension module turns an exception during its import into an ImportError.
        if _asked and end.code:
            sys.exit(128 + _asked[0])
        raise
    finally:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Exit through every `finally`, so that incomplete files are removed.

    KeyboardInterrupt is not used, because Python can then end with the signal's status in any case.
    """
    _asked.append(number)
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
