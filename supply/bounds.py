"""The wheel in an environment of its own, on the oldest or the newest versions that pyproject.toml allows.

    python -m supply.bounds oldest

Makes build/oldest, installs the wheel of dist with its extras, every dependency at its lower bound (or, for
newest, whatever is newest), and runs there the tests that need neither torch nor sentence-transformers:
against the installed wheel, not this tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("hub", "eval", "plot")
# What the tests themselves need, beside the wheel.
TESTING = ("pytest", "hypothesis", "onnx", "hatchling")
# Without torch, OpenVINO and the weights of a real model.
TESTS = (
    "bitext/margin", "bitext/mining", "bitext/neighbors_file", "bitext/presets", "cli/encode", "cli/main",
    "doctor", "io/columns", "io/lines", "io/output", "join", "kernels", "loading/bundle", "loading/hub",
    "matrix", "memory", "neighbors", "paraphrase", "silence", "soak", "system/threads", "text/filters",
    "tiles", "topk", "untrusted/arrays", "untrusted/directories", "untrusted/models",
)  # fmt: skip


def main() -> None:
    which = sys.argv[1]
    folder = ROOT / "build" / which
    (wheel,) = (ROOT / "dist").glob("lightmine-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    pinned = lower_bounds() if which == "oldest" else []
    wanted = [f"{wheel}[{','.join(EXTRAS)}]", *pinned, *TESTING]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([*pip, *wanted], check=True)
    # The tests and what they read, without the package: it must be the wheel's that is imported.
    tree = folder / "tree"
    for name in ("tests", "examples", "benchmarks", "supply", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*ROOT.glob("*.md"), ROOT / "pyproject.toml"]:
        shutil.copy(path, tree)
    names = test_files()
    subprocess.run([python, "-m", "pip", "list"], check=True)
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names], cwd=tree, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    sys.exit(done.returncode)


def test_files() -> list[str]:
    """The paths of the tests.

    Examples
    --------
    >>> [path for path in test_files() if "main" in path]
    ['tests/cli/test_main.py']
    """
    parts = [name.rpartition("/") for name in TESTS]
    return [f"tests/{folder}{slash}test_{last}.py" for folder, slash, last in parts]


def lower_bounds() -> list[str]:
    """Every dependency of the wheel and of its extras at its lower bound.

    Examples
    --------
    >>> [line for line in lower_bounds() if line.startswith("numpy")]
    ['numpy==2.0']
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in extras[extra])]
    return [line.split(",")[0].replace(">=", "==") for line in lines]


if __name__ == "__main__":
    main()
