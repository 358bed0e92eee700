"""A wheel for every platform, each compiled here and checked by its tag and by the library in it.

    python -m supply.wheels [--out FOLDER] [TARGET ...]

Targets are those of `hatch_build.TARGETS`, by default all; the folder is dist by default. A check that fails
is said in one line, and nothing is written for that platform.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hatch_build import FOLDER, LIBRARIES, SOURCE, TARGETS
from supply.dist import ROOT, copy_sources, digest, epoch
from supply.libraries import Library, read_library

# Of each system: the format of its libraries, and those that ours may need.
SYSTEMS = {
    "linux-gnu.2.28": ("elf", {"libc.so.6"}),
    "linux-musl": ("elf", {"libc.so"}),
    "windows-gnu": ("pe", set()),
    "macos.11.0": ("macho", {"/usr/lib/libSystem.B.dylib"}),
}
GLIBC = (2, 28)
MACOS = (11, 0)
# What the linker of macOS exports beside our functions.
OF_LINKER = {"__dso_handle", "_mh_dylib_header"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="supply.wheels")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    asked = parser.parse_args()
    if unknown := sorted(set(asked.targets) - set(TARGETS)):
        sys.exit(f"{unknown[0]} is no target; they are {', '.join(TARGETS)}")
    asked.out.mkdir(parents=True, exist_ok=True)
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        copy_sources(Path(scratch, "source"))
        for target in asked.targets or TARGETS:
            wheel = build_wheel(Path(scratch), target)
            if found := faults(wheel, target):
                failures += [f"{wheel.name}: {fault}" for fault in found]
                continue
            shutil.copy(wheel, asked.out)
            print(f"{digest(wheel)}  {wheel.name}", flush=True)
    if failures:
        sys.exit("\n".join(failures))


def build_wheel(folder: Path, target: str) -> Path:
    """Compile for a target, in a folder that holds our sources, and return the wheel."""
    out = folder / target
    # What zig has built of a system's C library serves the next target of that system.
    cache = str(folder / "cache")
    environment = {
        "LIGHTMINE_KERNEL": "zig", "LIGHTMINE_KERNEL_TARGET": target, "SOURCE_DATE_EPOCH": epoch(),
        "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache,
    }  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=folder / "source", check=True, stdout=subprocess.DEVNULL, env=os.environ | environment,
    )  # fmt: skip
    (wheel,) = out.iterdir()
    return wheel


def faults(wheel: Path, target: str) -> list[str]:
    """What is wrong with a wheel that was built for a target."""
    tag = f"py3-none-{TARGETS[target]}"
    found = [] if wheel.name.endswith(f"-{tag}.whl") else [f"its name does not end with the tag {tag}"]
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        (about,) = (name for name in names if name.endswith(".dist-info/WHEEL"))
        lines = file.read(about).decode().splitlines()
        libraries = [name for name in names if name.endswith(tuple(LIBRARIES.values()))]
        expected = f"{FOLDER}/{LIBRARIES[system_of(target).partition('-')[0].partition('.')[0]]}"
        if [line for line in lines if line.startswith(("Tag:", "Root-Is-Purelib:"))] != [
            "Root-Is-Purelib: false", f"Tag: {tag}",
        ]:  # fmt: skip
            found.append(f"{about} does not say that it is for {tag} alone")
        if libraries != [expected]:
            return [*found, f"its libraries are {libraries}, not {expected}"]
        return found + library_faults(read_library(file.read(expected)), target)


def library_faults(library: Library, target: str) -> list[str]:
    """What is wrong with a library that was compiled for a target."""
    form, allowed = SYSTEMS[system_of(target)]
    found = []
    if (library.format, library.machine) != (form, target.partition("-")[0]):
        found.append(f"the library is {library.format} for {library.machine}")
    if wrong := sorted((library.exports - OF_LINKER) ^ functions()):
        found.append(f"exported and declared functions differ: {', '.join(wrong)}")
    if more := sorted(library.needed - allowed):
        found.append(f"needs {', '.join(more)}")
    for name in sorted(library.versions):
        version = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", name)
        if not version or (int(version[1]), int(version[2])) > GLIBC:
            found.append(f"needs {name}")
    if form == "macho" and library.system != MACOS:
        found.append(f"is for macOS {'.'.join(map(str, library.system))}")
    if form == "macho" and library.machine == "aarch64" and not library.signed:
        found.append("is not signed")
    return found


def system_of(target: str) -> str:
    return target.partition("-")[2]


def functions() -> set[str]:
    """The functions that native/kernel.c declares for others.

    Examples
    --------
    >>> sorted(functions())[:2]
    ['lightmine_abi', 'lightmine_can']
    """
    text = (ROOT / SOURCE).read_text(encoding="utf-8")
    return set(re.findall(r"^API \w+ (\w+)\(", text, re.MULTILINE))


if __name__ == "__main__":
    main()
