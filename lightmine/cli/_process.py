"""The standard streams of the process: they can be missing, and their reader can stop early."""

from __future__ import annotations

import os
import sys

# What a shell reports of a process that ended by signal 13.
PIPE_CLOSED = 141


class PipeClosed(BaseException):
    """The process that reads our output has closed the pipe."""


def open_standard_streams() -> None:
    """Open the null device in the place of standard streams that were closed.

    Otherwise a file that we open gets the number 1 or 2, and what a library prints is written into it. And
    what Python prints to a missing standard error goes to standard output, among the data.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest free number; writing to 1 is then an error
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def stop_writing() -> None:
    """Write nothing more to standard output, also not at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
