"""What a type checker knows of the public API: user code is accepted, and mistakes in it are refused."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import lightmine
from lightmine import evaluation
from lightmine.bitext import margin, presets
from lightmine.engine import job

CODE = Path(__file__).parent / "typing"
ROOT = Path(lightmine.__file__).parents[1]
FUNCTIONS = [
    lightmine.mine_bitext, lightmine.score_bitext, lightmine.retrieve, lightmine.neighbors,
    lightmine.mine_paraphrases, lightmine.unit_rows, presets.margin_spec,
    *(getattr(evaluation, name) for name in evaluation.__all__ if name.islower()),
]  # fmt: skip


def checked(name, folder):
    """What mypy --strict says of a file of user code, in a folder that is not the project's."""
    path = shutil.copy(CODE / name, folder / name)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent",
         "--config-file", os.devnull, str(path)],
        capture_output=True, text=True, cwd=folder, env=os.environ | {"MYPYPATH": str(ROOT)}, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_user_code_is_accepted(tmp_path):
    done = checked("user_code.py", tmp_path)
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n"), done.stderr


@pytest.mark.slow
def test_mistakes_in_user_code_are_refused(tmp_path):
    done = checked("wrong_code.py", tmp_path)
    lines = (CODE / "wrong_code.py").read_text().splitlines()
    wanted = {at: found[1] for at, line in enumerate(lines, 1) if (found := re.search(r"  # (\S+)$", line))}
    seen = re.findall(r"^wrong_code\.py:(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.M)
    errors = {(int(at), code) for at, code in seen}
    assert len(wanted) > 15
    assert {at for at, _ in errors} == wanted.keys(), done.stdout + done.stderr
    assert wanted.items() <= errors, done.stdout + done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_signatures_name_every_option(function):
    parameters = inspect.signature(function).parameters.values()
    assert not [p.name for p in parameters if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    options = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    for option in options:
        assert option.annotation is not option.empty
        assert re.search(rf"\b{option.name}\b", function.__doc__) or function is presets.margin_spec


def test_margin_options_are_those_of_the_functions():
    names = list(get_type_hints(presets.MarginOptions))
    for function in (lightmine.mine_bitext, lightmine.retrieve, presets.margin_spec):
        assert [name for name in inspect.signature(function).parameters if name in names] == names


def test_choices_are_those_of_the_types():
    for choices, type_ in (
        (margin.MARGINS, margin.Margin), (presets.RETRIEVALS, presets.Retrieval),
        (presets.RANKS, presets.Rank), (presets.ONE_TO_ONE, presets.OneToOne),
        (presets.PRESETS, presets.Preset), (job.KERNELS, job.KernelName),
    ):  # fmt: skip
        assert choices == get_args(type_)
    assert tuple(presets.PRESET_SPECS) == presets.PRESETS
