"""Commands and options as lightmine shows them: options in groups, commands in sections, defaults shown."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from lightmine.cli._process import PipeClosed

Function = TypeVar("Function", bound=Callable[..., Any])

# Groups of options, in the order in which help shows them.
OPTION_GROUPS = (
    "Mining", "Calibration", "Gold", "Cache", "Reading", "Filters", "Model", "Encoding", "Output", "Run",
)  # fmt: skip
# The group of --help, which click adds to every command.
LAST_GROUP = OPTION_GROUPS[-1]


class Option(click.Option):
    """An option that belongs to one of `OPTION_GROUPS`; its default is shown."""

    def __init__(self, *names: Any, group: str = "", **settings: Any) -> None:
        settings.setdefault("show_default", True)
        super().__init__(*names, **settings)
        self.group = group

    def get_help_extra(self, ctx: click.Context) -> Any:
        """What help shows in brackets; a default that is described in words has no parentheses."""
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default
        return extra


def option(group: str, *names: str, **settings: Any) -> Callable[[Function], Function]:
    """An option of a group, as a decorator; everything else is as in `click.option`."""
    return click.option(*names, cls=Option, group=group, **settings)


def options(*decorators: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Several options as one decorator, in the order in which help shows them."""

    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def option_set(
    name: str, make: Callable[..., Any], *decorators: Callable[[Any], Any]
) -> Callable[[Function], Function]:
    """Options whose values are passed to `make`; the command gets what it returns as one argument."""

    def decorate(function: Function) -> Function:
        names: list[str] = []

        @functools.wraps(function)
        def with_one_argument(*args: Any, **values: Any) -> Any:
            values[name] = make(**{each: values.pop(each) for each in names})
            return function(*args, **values)

        before = list(getattr(with_one_argument, "__click_params__", []))
        wrapped: Any = with_one_argument
        for decorator in reversed(decorators):
            wrapped = decorator(wrapped)
        names += [str(each.name) for each in wrapped.__click_params__[len(before) :]]
        return wrapped  # type: ignore[no-any-return]

    return decorate


class Command(click.Command):
    """A command whose help shows its options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        _write_option_groups(self, ctx, formatter)


def command(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """A command, as a decorator; everything else is as in `click.command`."""
    return click.command(name, cls=Command, **settings)


class CommandGroup(click.Group):
    """A command that has sub-commands."""

    command_class = Command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and the options."""
        self.format_commands(ctx, formatter)
        _write_option_groups(self, ctx, formatter)


class LazyGroup(CommandGroup):
    """A command that imports the module of a sub-command when that is asked for.

    `package` holds a module for each sub-command, of the same name. `sections` gives the names of the
    sub-commands by the heading under which help shows them.
    """

    def __init__(
        self, *args: Any, package: str, sections: Mapping[str, Sequence[str]], **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self.package, self.sections = package, sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in order."""
        return [name for names in self.sections.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{self.package}.{cmd_name}")
        found: click.Command = getattr(module, cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, a section after the other."""
        limit = formatter.width - 6 - max(map(len, self.list_commands(ctx)))
        for heading, names in self.sections.items():
            rows = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(heading):
                formatter.write_dl([(name, each.get_short_help_str(limit)) for name, each in rows if each])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed pipe is left to `main`, where click would exit with status 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise PipeClosed from None


def _write_option_groups(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    shown: dict[str, list[tuple[str, str]]] = {name: [] for name in OPTION_GROUPS}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and isinstance(parameter, click.Option):
            shown[getattr(parameter, "group", LAST_GROUP)].append(record)
    for name, records in shown.items():
        if records:
            with formatter.section(name):
                formatter.write_dl(records)


def number_or_none(value: str) -> float:
    """Minus infinity for none, which stands for no limit, not even one that a model recommends."""
    try:
        return -math.inf if value == "none" else float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor none") from None
