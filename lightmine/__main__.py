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

# Signals that ask a process to stop; a shell reports 128 more than their numbers.
STOPS = (signal.SIGINT, signal.SIGTERM)
_asked: list[int] = []


def main() -> None:
    """Run the command line."""
    try:
        for number in STOPS:
            # Not where it is ignored, as Ctrl-C is by what a shell runs in the background.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _stop)
        # Here, because it takes most of a short command's time, and a signal may come in it.
        from lightmine.cli import main as command

        command()
    except SystemExit as end:
        # An extension module that is being imported makes an ImportError of whatever comes.
        if _asked and end.code:
            sys.exit(128 + _asked[0])
        raise
    finally:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Leave by way of every `finally`, so that what is half done is tidied away.

    Not by KeyboardInterrupt, after which Python may end by the signal whatever became of it.
    """
    _asked.append(number)
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
