"""What tests of commands share: the examples, and a fixture that runs the command line."""

import io
import sys
from pathlib import Path

import pytest

from lightmine.cli import main

ROOT = Path(__file__).parents[1]
QUESTIONS = ROOT / "examples/questions.txt"
ENGLISH, GERMAN = ROOT / "examples/english.txt", ROOT / "examples/german.txt"


@pytest.fixture
def run(monkeypatch, capfdbinary):
    """Run the command line in this process: exit status, standard output, standard error."""

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["lightmine", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="ascii"))
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfdbinary.readouterr()
        return end.value.code, out.decode(), err.decode()

    return run


def rows(tsv):
    header, *lines = tsv.splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
