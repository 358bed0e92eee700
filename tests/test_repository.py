"""What stands beside the code: the workflows, the templates, the citation, the hooks."""

import re
import tomllib

import pytest
import yaml

import lightmine
from tests.needs_torch import ROOT

URL = "https://github.com/lightmine/lightmine"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))


def read(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def targets():
    """The names that the Makefile can make."""
    lines = re.findall(r"^([a-z -]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return {name for line in lines for name in line.split()}


def steps(path):
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_step_of_a_workflow_is_a_make_target(path):
    commands = [step["run"] for step in steps(path) if "run" in step]
    assert commands
    for command in commands:
        name = re.fullmatch(r"make ([a-z-]+) PYTHON=python", command)
        assert name, command
        assert name[1] in targets() | {"docs"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_reads_and_no_more(path):
    assert read(path)["permissions"] == {"contents": "read"}
    assert "secrets" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_major_version(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", name)] == []


def test_the_workflow_runs_on_every_system_and_python():
    matrix = read(".github/workflows/ci.yml")["jobs"]["fast"]["strategy"]["matrix"]
    systems = {re.sub(r"-[\d.]+", "", name) for name in matrix["os"]}
    assert systems == {"ubuntu", "ubuntu-arm", "macos", "windows"}
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_whole(path):
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    assert all(field["attributes"]["label"] for field in form["body"])
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_the_citation_is_of_this_version():
    citation = read("CITATION.cff")
    assert citation["version"] == lightmine.__version__
    assert citation["repository-code"] == URL


def test_the_repository_has_one_address():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == lightmine.__version__
    assert all(url.startswith(URL) for url in project["urls"].values())
    (contact,) = read(".github/ISSUE_TEMPLATE/config.yml")["contact_links"]
    assert contact["url"].startswith(URL)


def test_hooks_call_make_targets_that_exist_and_fetch_no_repository():
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    made = [hook["entry"].split()[-1] for hook in repository["hooks"] if hook["entry"].startswith("make ")]
    assert made == ["lint", "types"]
    assert set(made) <= targets()
