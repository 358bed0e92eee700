"""What fuzzing started from and what it found: only our own errors may escape a reader."""

import importlib
from pathlib import Path

import pytest

from fuzz import targets

ROOT = Path(__file__).parents[1]
CASES = [path for folder in ("fuzz/corpus", "tests/fuzzed") for path in sorted((ROOT / folder).glob("*/*"))]


@pytest.fixture(scope="module", autouse=True)
def _folder():
    yield
    targets.clean()


@pytest.mark.parametrize("path", CASES, ids=lambda path: "/".join(path.parts[-2:]))
def test_readers_survive_it(path):
    importlib.import_module(f"fuzz.targets.{path.parent.name}").one_input(path.read_bytes())


def test_every_target_has_seeds_and_every_case_a_target():
    assert {path.parent.name for path in CASES} == set(targets.NAMES)
