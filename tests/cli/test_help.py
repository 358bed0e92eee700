"""What help shows: options in groups with their defaults, commands in sections, lines of 80 columns."""

import os
import subprocess
import sys

import click
import pytest

from lightmine.cli import SECTIONS, cli
from lightmine.cli._command import OPTION_GROUPS, Option, option


def every_command():
    """The names and the objects of all commands and sub-commands."""
    found = [("", cli)]
    for name, command in found:
        if isinstance(command, click.Group):
            context = click.Context(command)
            found += [
                (f"{name} {sub}".strip(), command.get_command(context, sub))
                for sub in command.list_commands(context)
            ]
    return dict(found)


COMMANDS = every_command()
# The exporter has its own parser, in a process of its own.
OURS = [name for name in COMMANDS if name != "export"]


def shown(name):
    """The help of a command on a terminal of 80 columns."""
    command = [sys.executable, "-m", "lightmine", *name.split(), "--help"]
    environment = os.environ | {"COLUMNS": "80"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def ungrouped(command):
    """Options that are in no group."""
    given = [each for each in command.params if isinstance(each, click.Option)]
    return [each.name for each in given if getattr(each, "group", None) not in OPTION_GROUPS]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_a_group(name):
    assert not ungrouped(COMMANDS[name])


def test_an_option_without_a_group_is_found():
    @click.command()
    @click.option("--one")
    @option("Other", "--two")
    @option("Run", "--three")
    def command(one, two, three):
        pass

    assert ungrouped(command) == ["one", "two"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_shows_its_default_and_says_what_it_does(name):
    for each in COMMANDS[name].params:
        if isinstance(each, Option):
            assert each.help.endswith("."), each.opts
            extra = each.get_help_extra(click.Context(COMMANDS[name]))
            assert each.is_flag or each.required or extra.get("default"), each.opts


@pytest.mark.parametrize("name", OURS)
def test_help_shows_the_groups_in_order_and_fits_80_columns(name):
    lines = shown(name).splitlines()
    assert not [line for line in lines if len(line) > 80]
    headings = [line[:-1] for line in lines if line.endswith(":") and line[:-1] in OPTION_GROUPS]
    groups = {each.group for each in COMMANDS[name].params if isinstance(each, Option)} | {"Run"}
    assert [each for each in headings if each in groups][-len(groups) :] == [
        group for group in OPTION_GROUPS if group in groups
    ]


def test_help_shows_the_commands_in_sections():
    lines = shown("").splitlines()
    assert sorted(SECTIONS, key=lambda heading: lines.index(f"{heading}:")) == list(SECTIONS)
    for heading, names in SECTIONS.items():
        start = lines.index(f"{heading}:") + 1
        found = lines[start : start + len(names)]
        assert [line.split()[0] for line in found] == list(names)
        assert not [line for line in found if line.endswith("...")]


def test_a_default_in_words_has_no_parentheses():
    assert "default: no cache]" in " ".join(shown("evaluate sts").split())
