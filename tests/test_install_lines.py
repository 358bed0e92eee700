"""The install lines in messages and documents: right for an installation from a clone and from a wheel."""

import pickle
import re
import tomllib
from pathlib import Path

import pytest

from lightmine.errors import EXTRAS, MissingExtraError, install_line
from lightmine.export.optimum_graph import INSTALL_LINE

ROOT = Path(__file__).parents[1]


def test_the_extras_in_messages_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = {
        extra: sorted(line.split(";")[0].strip() for line in lines)
        for extra, lines in project["optional-dependencies"].items()
    }
    in_messages = {extra: sorted(packages) for extra, packages in EXTRAS.items()}
    torch = [line for line in bounds["export"] if line.startswith("torch>=")]
    pinned = [line for line in in_messages["export"] if line.startswith("torch==")]
    assert f"TORCH ?= {pinned[0]}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
    lowest, named = (tuple(map(int, re.findall(r"\d+", line))) for (line,) in (torch, pinned))
    assert named >= lowest
    bounds["export"] = sorted({*bounds["export"]} - {*torch} | {*pinned})
    assert in_messages == bounds


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_install_line_names_every_package_of_the_extra(extra):
    line = install_line(extra, "another")
    assert line.startswith("pip install ")
    assert line.endswith(" another")
    # A bound outside quotes would be a redirection for a shell.
    assert ">" not in re.sub(r"'[^']*'", "", line)
    assert [name.strip("'") for name in line.split()[2:-1]] == list(EXTRAS[extra])


def test_the_error_says_what_needs_which_packages_and_survives_another_process():
    error = MissingExtraError.of("remote", "s3://a needs s3fs", "s3fs")
    assert str(error) == "s3://a needs s3fs: pip install 'fsspec>=2024.6' s3fs"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (MissingExtraError, str(error))


def test_no_message_and_no_document_installs_lightmine_from_an_index():
    paths = [path for folder in ("lightmine", "docs", "examples") for path in (ROOT / folder).rglob("*")]
    paths += [*ROOT.glob("*.md")]
    read = 0
    for path in paths:
        if path.suffix not in (".py", ".md", ".txt") or path.name == "CHANGELOG.md":
            continue
        read += 1
        text = path.read_text(encoding="utf-8")
        found = re.search(r"pip install [^`\n]*['\" ]lightmine[\['\"` \n]", text)
        assert found is None, f"{path.relative_to(ROOT)}: {found.group()}"
    assert read > 50


def test_the_documents_install_what_the_extras_do():
    known = {line for packages in EXTRAS.values() for line in packages}
    found = []
    for path in sorted((ROOT / "docs").rglob("*.md")):
        for line in re.findall(r"pip install [^`\n]*", path.read_text(encoding="utf-8")):
            found += re.findall(r"'([\w-]+>=[\d.]+)'", line)
    assert found
    assert not {*found} - known
    guide = (ROOT / "docs/guides/your-own-model.md").read_text(encoding="utf-8")
    assert f"{install_line('export')}\n" in guide


def test_the_line_for_optimum_is_that_of_the_makefile():
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(TORCH)", "torch==2.13.0")
    installed = re.findall(r"\$\(OPTIMUM\)/bin/python -m pip install --quiet (.*)", recipe)
    assert INSTALL_LINE.replace("'", "") == "pip install " + " ".join(installed).replace("'", "")
