"""Standard streams: that are not there, or that nobody reads any more."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

# What a shell reports of a process that ended by signal 13.
PIPE_CLOSED = 141


class PipeClosed(BaseException):
    """Whoever read our output has had enough."""


class LazyGroup(click.Group):
    """A click group that imports a command's module when the command is asked for.

    It leaves a closed pipe to `main`; click itself would end with status 1. `modules` gives the module of
    each command in ``lightmine.cli``.
    """

    def __init__(self, *given: Any, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(*given, **options)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in self._modules:
            return None
        module = importlib.import_module(f"lightmine.cli.{self._modules[cmd_name]}")
        # `evaluate` and others are click's objects, which carry the names that users type.
        found: click.Command = getattr(module, cmd_name)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise PipeClosed from None


def open_standard_streams() -> None:
    """Put something in the place of standard streams that were closed.

    Else a file of ours would get the number 1 or 2, and what a library prints would land in it; and what
    Python prints to a missing standard error goes to standard output, among the data.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest number that is free; writing to 1 is an error then
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def stop_writing() -> None:
    """Nothing more goes to standard output, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
