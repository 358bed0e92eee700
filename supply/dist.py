"""This platform's wheel and the sdist, built twice: other folders, other times, another mask and time zone.

    python -m supply.dist [FOLDER]

Both builds must be the same bytes; they go to FOLDER, by default dist, with their SHA-256. The time in them
is that of the last commit, or SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What differs from one machine to the next.
MACHINES = (
    {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1", "umask": "022"},
    {"TZ": "Pacific/Auckland", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2", "umask": "077"},
)


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist")
    with tempfile.TemporaryDirectory() as scratch:
        places = [Path(scratch, "first"), Path(scratch, "a longer name", "second")]
        builds = [build(place, machine) for place, machine in zip(places, MACHINES, strict=True)]
        digests = [{path.name: digest(path) for path in build} for build in builds]
        if digests[0] != digests[1]:
            sys.exit(f"two builds differ:\n{digests[0]}\n{digests[1]}")
        out.mkdir(parents=True, exist_ok=True)
        for old in [*out.glob("lightmine-*.whl"), *out.glob("lightmine-*.tar.gz")]:
            old.unlink()
        for path in builds[0]:
            shutil.copy(path, out)
    for name, value in digests[0].items():
        print(f"{value}  {name}")


def build(folder: Path, machine: dict[str, str]) -> list[Path]:
    """Copy what git knows of to a new folder, build there, and return the files."""
    source = folder / "source"
    copy_sources(source)
    environment = {name: value for name, value in machine.items() if name != "umask"}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder / "built")],
        cwd=source, check=True, stdout=subprocess.DEVNULL, umask=int(machine["umask"], 8),
        env=os.environ | {"SOURCE_DATE_EPOCH": epoch(), "LIGHTMINE_KERNEL": "zig"} | environment,
    )  # fmt: skip
    return sorted((folder / "built").iterdir())


def copy_sources(folder: Path) -> None:
    """Copy what git knows of, with the time of now and the mask of here."""
    for name in sources():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)


def sources() -> list[str]:
    """Every file that is committed or could be; what git ignores is nobody's business."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in names.split("\0") if name and (ROOT / name).is_file()]


def epoch() -> str:
    """Seconds since 1970 of the last commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
