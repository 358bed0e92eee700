"""What the documents promise is run."""

import ast
import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import (
    FENCE,
    GENERATED,
    LINK,
    NOT_RUN,
    ROOT,
    anchors,
    blocks,
    documents,
    files_named,
    is_command,
    matches,
    pages,
)
from tests.test_architecture import modules

NAMES = [path.relative_to(ROOT).as_posix() for path in pages()]
# Files that a document may name though the repository has them not: what commands make.
MADE = {"tests/fuzzed", "docs/reference/cli.md", "docs/reference/api.md"}


@pytest.mark.parametrize("name", [name for name, _ in modules() if not name.endswith("__main__")])
def test_examples_in_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_examples_in_the_tools_of_the_documents_run():
    for name in ("supply.site", "supply.numpydoc", "tests.documents"):
        result = doctest.testmod(importlib.import_module(name))
        assert result.attempted, name
        assert result.failed == 0, name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that examples run in: it has the examples' texts, and examples/ with the same."""
    (tmp_path / "examples").mkdir()
    for text in (ROOT / "examples").glob("*.txt"):
        shutil.copyfile(text, tmp_path / text.name)
        shutil.copyfile(text, tmp_path / "examples" / text.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["README.md", *NAMES])
def test_the_documents_python_runs_and_prints_what_it_says(name, folder):
    names = {}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for block in blocks((ROOT / name).read_text("utf-8")):
        if block.language != "python":
            continue
        if ">>>" in block.text and block.not_run is None:
            # Blocks of a page follow each other: what one imports the next may use.
            test = doctest.DocTestParser().get_doctest(block.text, names, name, name, block.line)
            assert runner.run(test, clear_globs=False).failed == 0
            names = test.globs
        elif ">>>" not in block.text:
            ast.parse(block.text)


@pytest.mark.parametrize("name", NAMES)
def test_the_documents_commands_run_and_print_what_it_says(name, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LIGHTMINE_")}
    environment |= {"PATH": path, "COLUMNS": "120"}
    for block in blocks((ROOT / name).read_text("utf-8")):
        if not is_command(block) or block.not_run is not None:
            continue
        # Refused commands are examples too: then the page shows the message, and the status is 2.
        done = subprocess.run(
            ["bash", "-ec", block.text], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        where = f"{name}:{block.line}\n{block.text}\n{done.stdout}"
        refused = block.output is not None and done.returncode == 2
        assert done.returncode == 0 or refused, where
        if block.output is not None:
            assert matches(block.output, done.stdout), where


def test_what_is_not_run_says_why():
    for path in pages():
        text = path.read_text("utf-8")
        marks = NOT_RUN.findall(text)
        used = [block.not_run for block in blocks(text) if block.not_run is not None]
        assert len(marks) == len(used), f"{path.name}: a mark of what is not run stands before no block"
        for reason in used:
            assert len(reason) > 5, f"{path.name}: a block that is not run needs a reason: {reason!r}"


def test_messages_of_the_troubleshooting_page_are_those_of_the_code():
    sources = "".join(path.read_text("utf-8") for path in sorted((ROOT / "lightmine").rglob("*.py")))
    joined = re.sub(r'"\s*\n\s*f?"', "", sources)
    text = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
    tables = re.findall(r"^\| message contains .*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    messages = [line.split("`")[1] for table in tables for line in table.splitlines()]
    assert len(messages) > 30
    for message in messages:
        assert message in joined, message


def test_public_functions_have_examples():
    import lightmine

    for name in lightmine.__all__:
        thing = getattr(lightmine, name)
        if callable(thing) and name not in ("LightmineError", "Bitext", "Neighbors"):
            assert ">>>" in thing.__doc__, name


def test_links_in_the_documents_lead_somewhere():
    lost = []
    for path in documents():
        text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text("utf-8")))
        for address in LINK.findall(text):
            if re.match(r"[a-z]+:", address):
                continue
            target, _, anchor = address.partition("#")
            file = (path.parent / target).resolve() if target else path
            there = file.exists() or file in GENERATED
            if there and anchor and file.suffix == ".md" and file not in GENERATED:
                there = anchor in anchors(file.read_text("utf-8"))
            if not there:
                lost.append(f"{path.relative_to(ROOT)}: {address}")
    assert lost == []


def test_documents_name_files_that_there_are():
    lost = [
        f"{path.relative_to(ROOT)}: {named}"
        for path in documents()
        for named in files_named(path.read_text("utf-8"))
        if not any(ROOT.glob(named.rstrip("/"))) and named.rstrip("/") not in MADE
    ]
    assert lost == []


def test_code_names_documents_that_there_are():
    lost = []
    for folder in ("lightmine", "export_scripts", "benchmarks", "supply", "fuzz"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for named in re.findall(r"\bdocs/[\w/.-]+\.(?:md|svg)\b", path.read_text("utf-8")):
                file = ROOT / named
                if not file.exists() and file not in GENERATED:
                    lost.append(f"{path.relative_to(ROOT)}: {named}")
    assert lost == []


def test_every_page_is_in_the_navigation():
    listed = re.findall(r"^ +- .*?: ([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    inside = {name for name in listed if not name.startswith("project/")}
    there = {path.relative_to(ROOT / "docs").as_posix() for path in {*pages(), *GENERATED}}
    assert inside == there
    assert len(listed) == len(set(listed))
