"""What is shipped, and what it stands on."""

import hashlib
import os
import subprocess
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import pytest

from supply.bounds import lower_bounds
from supply.licences import ALLOWED, main, parts

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    if not (ROOT / ".git").exists():
        pytest.skip("a source archive has no git to ask which files are its own")
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "supply.dist", out], cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1600000000"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


@pytest.mark.slow
def test_two_builds_in_two_places_are_the_same_bytes(built):
    out, told = built
    files = sorted(out.iterdir())
    assert [path.name.rsplit(".", 1)[1] for path in files] == ["whl", "gz"]
    for path in files:
        assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" in told


@pytest.mark.slow
def test_what_is_packed_is_ours_and_of_the_stated_time(built):
    wheel, archive = sorted(built[0].iterdir())
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        assert {entry.date_time[:3] for entry in file.infolist()} == {(2020, 9, 13)}
    assert "lightmine/models/static-multilingual/model.onnx" in names
    assert "lightmine/py.typed" in names
    assert "lightmine/encoder/data/gemm.onnx" in names
    assert not [name for name in names if "test" in name or "__pycache__" in name]
    assert sum(name.startswith("lightmine/engine/kernel.") for name in names) == 1
    with tarfile.open(archive) as file:
        members = file.getmembers()
    files = {member.name.partition("/")[2] for member in members}
    assert {"hatch_build.py", "native/kernel.c", "native/windows.c"} <= files
    assert not [name for name in files if name.startswith("lightmine/engine/kernel.")]
    assert {member.mtime for member in members} == {1600000000}
    assert {member.name.split("/")[0] for member in members} == {"lightmine-0.1.0"}
    assert all(not member.issym() and ".." not in member.name for member in members)


def test_the_wheel_installs_lightmine_alone_with_the_exporters_data(built):
    (wheel,) = built[0].glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    assert {name.split("/")[0] for name in names} == {"lightmine", "lightmine-0.1.0.dist-info"}
    ours = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "lightmine" / "export").rglob("*")
        if path.suffix in (".py", ".txt")
    ]
    assert "lightmine/export/calibration.txt" in ours
    assert "lightmine/export/evaluation/en.txt" in ours
    assert not {*ours} - {*names}


def test_every_dependency_has_a_lower_bound_and_is_justified():
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for pinned in lower_bounds():
        name, _, version = pinned.partition("==")
        assert version, pinned
        assert name.replace("huggingface-hub", "huggingface") in contributing.replace("_", "-"), name


def test_licences_that_are_on_no_list_are_named(monkeypatch, capsys):
    stated = "MIT AND (AGPL-3.0-only OR Apache-2.0)"
    package = types.SimpleNamespace(name="evil", metadata={"License-Expression": stated})
    assert parts(stated) == {"MIT", "AGPL-3.0-only", "Apache-2.0"}
    monkeypatch.setattr(sys, "argv", ["licences.py"])
    monkeypatch.setattr("importlib.metadata.distributions", lambda: [package])
    with pytest.raises(SystemExit, match="1 packages with a licence that is not on the list"):
        main()
    assert (
        "evil                     AGPL-3.0-only, Apache-2.0, MIT <- not on the list"
        in capsys.readouterr().out
    )
    assert not [licence for licence in ALLOWED if "GPL" in licence]


def test_no_make_target_names_a_registry():
    text = (ROOT / "Makefile").read_text()
    assert "://" not in text
    assert "--index-url" not in text


def test_the_tests_at_the_bounds_are_there():
    from supply import bounds

    missing = [path for path in bounds.test_files() if not (ROOT / path).is_file()]
    assert not missing
