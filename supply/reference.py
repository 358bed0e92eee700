"""Pages of the reference, made from the code: the command line from click, the API from docstrings.

They are made whenever the site is built and are not committed: so they cannot be out of date, a change of
a docstring is a change of one file, and branches do not conflict in them. ``lightmine --help`` and ``help()``
show the same without a site.
"""

from __future__ import annotations

import contextlib
import html
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from supply.numpydoc import Docstring

# Modules whose public names are the API, and what stands above each.
MODULES = {
    "lightmine": "What most programs need.",
    "lightmine.store": "Embeddings on disk, continued after an interruption, and a cache of embeddings.",
    "lightmine.evaluation": "Measures of embeddings and of mined pairs against gold.",
    "lightmine.errors": "Every error that lightmine raises on purpose.",
}
MADE = "<!-- Made by supply/reference.py. -->"
# A signature that is wider than this has a line for each parameter.
WIDTH = 88


class Recorder(click.HelpFormatter):
    """Keeps what a command's help consists of, in its order and its groups, instead of laying it out."""

    def __init__(self) -> None:
        super().__init__(width=2000)  # no line of a table of commands is cut
        self.parts: list[str] = []

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        self.parts.append(f"```text\n{prog} {args}\n```")

    def write_text(self, text: str) -> None:
        self.parts.extend(_paragraph(part) for part in re.split(r"\n\s*\n", text.strip()))

    @contextlib.contextmanager
    def section(self, name: str) -> Iterator[None]:
        self.parts.append(f"**{name}**")
        yield

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        lines = [f"| <code>{_cell(term)}</code> | {_cell(text)} |" for term, text in rows]
        column = "option" if rows[0][0].startswith("-") else "command"
        self.parts.append("\n".join([f"| {column} | |", "|---|---|", *lines]))


def _cell(text: str) -> str:
    return re.sub(r"([*_`\\])", r"\\\1", html.escape(" ".join(text.split()))).replace("|", "&#124;")


def _paragraph(text: str) -> str:
    """A paragraph of help; one that click is told to leave as it is may end in commands."""
    if not text.startswith("\b"):
        return " ".join(text.split())
    first, *rest = text.lstrip("\b\n").splitlines()
    return f"{first.strip()}\n\n```sh\n{inspect.cleandoc(chr(10).join(rest))}\n```"


def commands(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[click.Context, int]]:
    """A command and those below it, with how deep each stands, in the order of the help."""
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield context, len(context.command_path.split())
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None and not found.hidden:
                yield from commands(found, below, context)


def cli_page() -> str:
    """docs/reference/cli.md."""
    from lightmine.cli import cli

    about = (
        "Data goes to standard output or to a file, notes and progress to standard error. The exit status "
        "is 0 when a command has done its work, and 2 when it was refused, with one line that says why."
    )
    parts = ["# Command line", MADE, about]
    for context, depth in commands(cli, "lightmine"):
        formatter = Recorder()
        context.command.format_help(context, formatter)
        parts += [f"{'#' * max(2, depth)} {context.command_path}", *formatter.parts]
    return "\n\n".join(parts) + "\n"


def api_page() -> str:
    """docs/reference/api.md."""
    parts = [
        "# Python API", MADE,
        "What is public, and how it may change, is told in [Stability](stability.md).",
    ]  # fmt: skip
    for name, about in MODULES.items():
        module = importlib.import_module(name)
        parts += [f"## {name}", about]
        for thing in public_names(module):
            parts += _documented(thing, getattr(module, thing))
    return "\n\n".join(parts) + "\n"


def public_names(module: Any) -> list[str]:
    """The callable names of `__all__`; where there is none, those that the module defines itself."""
    found = vars(module)
    own = [name for name, thing in found.items() if getattr(thing, "__module__", "") == module.__name__]
    if module.__name__ == "lightmine.errors":  # what writes messages stands there too
        own = [name for name in own if isinstance(found[name], type)]
    names = getattr(module, "__all__", own)
    return [name for name in names if not name.startswith("_") and callable(getattr(module, name))]


def _documented(name: str, thing: Any) -> list[str]:
    parts = [f"### {name}"]
    if inspect.isclass(thing):
        if not issubclass(thing, Exception):
            parts.append(f"```python\nclass {name}\n```")
        else:
            parts.append(
                f"```python\nclass {name}({', '.join(base.__name__ for base in thing.__bases__)})\n```"
            )
        parts += Docstring.of(thing).markdown()
        for member, method in _members(thing):
            parts.append(f"#### {name}.{member}")
            parts += _signature(f"{name}.{member}", method) + Docstring.of(method).markdown()
        return parts
    return parts + _signature(name, thing) + Docstring.of(thing).markdown()


def _members(thing: type) -> list[tuple[str, Any]]:
    """Public methods and properties with documentation, those of our own bases included."""
    found: dict[str, Any] = {}
    for base in reversed(thing.__mro__):
        if base.__module__.startswith("lightmine"):
            members = {name: member for name, member in vars(base).items() if not name.startswith("_")}
            found |= {name: member for name, member in members.items() if _told(member)}
    return list(found.items())


def _told(member: Any) -> bool:
    """Whether it is a method or a property with documentation of its own."""
    if isinstance(member, property):
        return member.__doc__ not in (None, "See above.")
    return inspect.isfunction(getattr(member, "__func__", member)) and bool(member.__doc__)


def _signature(name: str, thing: Any) -> list[str]:
    if isinstance(thing, property):
        returned = inspect.signature(thing.fget).return_annotation if thing.fget else inspect.Signature.empty
        return [f"```python\n{name}{_returns(returned)}\n```"]
    plain: Callable[..., Any] = thing.__func__ if isinstance(thing, classmethod | staticmethod) else thing
    signature = inspect.signature(plain)
    parameters = list(signature.parameters.values())
    if "." in name and not isinstance(thing, staticmethod):
        parameters = parameters[1:]
    words = _parameters(parameters)
    returned = _returns(signature.return_annotation)
    line = f"{name}({', '.join(words)}){returned}"
    if len(line) > WIDTH:
        body = "\n".join(f"    {word}," for word in words)
        line = f"{name}(\n{body}\n){returned}"
    return [f"```python\n{line}\n```"]


def _parameters(parameters: Sequence[inspect.Parameter]) -> list[str]:
    words, starred = [], False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            words.append("*")
            starred = True
        starred |= parameter.kind is parameter.VAR_POSITIONAL
        words.append(_parameter(parameter))
    return words


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    word = f"{stars}{parameter.name}"
    if parameter.annotation is not parameter.empty:
        word += f": {_annotation(parameter.annotation)}"
    return word if parameter.default is parameter.empty else f"{word} = {parameter.default!r}"


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _returns(annotation: Any) -> str:
    return "" if annotation is inspect.Signature.empty else f" -> {_annotation(annotation)}"
