"""What an installation weighs, beside its peers': the wheels that pip takes, packed and unpacked.

    python -m benchmarks.installed_size

Each set is resolved and downloaded by pip into a folder of its own and measured file by file; nothing is
installed. Results go to benchmarks/results/installed_size.json, the table into the documents.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks import tables

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "installed_size.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--torch", default="torch==2.13.0", help="for the peers; without CUDA if you can")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = _own_wheel(Path(scratch))
        sets = {
            "lightmine": [str(wheel)],
            "fastembed": ["fastembed"],
            "sentence-transformers": [options.torch, "sentence-transformers==6.2.0"],
        }
        found = {name: measure(wanted, Path(scratch) / name) for name, wanted in sets.items()}
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    RESULTS.write_text(json.dumps({"system": system, "sets": found}, indent=2) + "\n", encoding="utf-8")
    tables.write()
    print(tables.size(found))


def measure(wanted: list[str], folder: Path) -> list[dict[str, str | int]]:
    """Every wheel of a set: its name, and its bytes packed and unpacked, the largest first."""
    _pip("download", "--only-binary", ":all:", "--dest", str(folder), *wanted)
    wheels = []
    for path in folder.glob("*.whl"):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        name, version = path.name.split("-")[:2]
        wheels.append({"name": name, "version": version, "packed": path.stat().st_size, "unpacked": unpacked})
    return sorted(wheels, key=lambda wheel: -int(wheel["unpacked"]))


def _own_wheel(folder: Path) -> Path:
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("lightmine-*.whl")
    return wheel


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"pip {' '.join(arguments)} failed")


if __name__ == "__main__":
    main()
