"""The build hook of hatchling: compiles native/kernel.c into the wheel, or into the tree if it is editable.

LIGHTMINE_KERNEL says with what: ``zig`` (the package ziglang, the default), ``cc`` (the compiler named by CC,
or cc), or ``none``: a wheel for every platform, whose engine is NumPy. LIGHTMINE_KERNEL_TARGET names another
platform than this one, one of `TARGETS`, for zig.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ZIGLANG = "ziglang==0.17.1"
# Zig's name of a platform, and that of wheels. glibc 2.28 is what ONNX Runtime's wheels need.
TARGETS = {
    "x86_64-linux-gnu.2.28": "manylinux_2_28_x86_64",
    "aarch64-linux-gnu.2.28": "manylinux_2_28_aarch64",
    "x86_64-linux-musl": "musllinux_1_2_x86_64",
    "aarch64-linux-musl": "musllinux_1_2_aarch64",
    "x86_64-windows-gnu": "win_amd64",
    "aarch64-windows-gnu": "win_arm64",
    "x86_64-macos.11.0": "macosx_11_0_x86_64",
    "aarch64-macos.11.0": "macosx_11_0_arm64",
}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
SYSTEMS = {"linux": "linux-gnu.2.28", "win32": "windows-gnu", "darwin": "macos.11.0"}
LIBRARIES = {"windows": "kernel.dll", "macos": "kernel.dylib", "linux": "kernel.so"}
# Without errno, square roots are instructions and not calls.
FLAGS = ["-O3", "-s", "-shared", "-fno-math-errno", "-fwrapv", "-fvisibility=hidden"]
SOURCE, FOLDER = "native/kernel.c", "lightmine/engine"


class BuildError(Exception):
    """Why there is no library, in one line."""


class KernelHook(BuildHookInterface[Any]):
    """Compiles the kernel; hatchling calls it for wheels and editable installations."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What has to be installed for the build."""
        return [ZIGLANG] if compiler() == "zig" and target() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell hatchling where the library is and which platform the wheel is for."""
        root = Path(self.root)
        self.scratch = tempfile.TemporaryDirectory(prefix="lightmine-kernel-")
        if version == "editable":
            for name in LIBRARIES.values():
                (root / FOLDER / name).unlink(missing_ok=True)
        if compiler() == "none":
            return
        try:
            library, tag = compile_kernel(root, Path(self.scratch.name))
        except BuildError as error:
            if "LIGHTMINE_KERNEL" in os.environ:  # it was asked for, so nothing else will do
                sys.exit(f"lightmine: {error}")
            self.app.display_warning(f"lightmine: no compiled kernel, mining will use NumPy: {error}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"
        if version == "editable":
            place = root / FOLDER / library.name
            shutil.copy(library, place.with_suffix(".new"))
            place.with_suffix(".new").replace(place)  # a process may have the old one open
        else:
            build_data["force_include"][str(library)] = f"{FOLDER}/{library.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the build left in the folder of temporary files."""
        self.scratch.cleanup()


def compiler() -> str:
    """What LIGHTMINE_KERNEL asks for."""
    asked = os.environ.get("LIGHTMINE_KERNEL", "zig")
    if asked not in ("zig", "cc", "none"):
        sys.exit(f"lightmine: LIGHTMINE_KERNEL is zig, cc or none, not {asked!r}")
    return asked


def target() -> str | None:
    """Zig's name of the platform to build for; None for one that is not in `TARGETS`."""
    asked = os.environ.get("LIGHTMINE_KERNEL_TARGET")
    if asked:
        if asked not in TARGETS:
            sys.exit(f"lightmine: LIGHTMINE_KERNEL_TARGET is one of {', '.join(TARGETS)}; not {asked!r}")
        return asked
    # On Windows the interpreter's platform counts: one for x86-64 runs on arm64 processors too.
    windows = sys.platform == "win32"
    name = sysconfig.get_platform().removeprefix("win-") if windows else platform.machine().lower()
    machine = MACHINES.get(name)
    system = SYSTEMS.get(sys.platform)
    if "musl" in (sysconfig.get_config_var("SOABI") or ""):
        system = "linux-musl"
    return f"{machine}-{system}" if machine and system and sys.maxsize > 2**32 else None


def compile_kernel(root: Path, out: Path) -> tuple[Path, str]:
    """The library, made in the folder `out`, and the platform of its wheel."""
    wanted = target()
    if compiler() == "cc":
        if os.environ.get("LIGHTMINE_KERNEL_TARGET"):
            raise BuildError("LIGHTMINE_KERNEL_TARGET needs LIGHTMINE_KERNEL=zig")
        system, tag = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux"), own_tag()
        command = [*os.environ.get("CC", "cc").split(), "-fPIC"]
    elif wanted:
        system, tag = wanted.split("-")[1].partition(".")[0], TARGETS[wanted]
        command = zig(wanted)
    else:
        raise BuildError(f"none is built for {sysconfig.get_platform()}; LIGHTMINE_KERNEL=cc may do")
    library = out / LIBRARIES[system]
    # Without these, what zig keeps between builds would stay in the home folder of whoever installs.
    caches = {name: str(out / "cache") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    run([*command, *FLAGS, "-o", str(library), SOURCE], root, caches | os.environ)
    return library, tag


def zig(wanted: str) -> list[str]:
    """The command of zig for a platform, up to the flags that all have."""
    spec = importlib.util.find_spec("ziglang")
    if not spec or not spec.origin:
        raise BuildError("the package ziglang is not installed")
    folder = Path(spec.origin).parent
    command = [str(folder / "zig"), "cc", "-target", wanted, "-fno-sanitize=undefined"]
    if "windows" in wanted:
        headers = str(folder / "lib/libc/include/any-windows-any")
        return [
            *command, "-nostdlib", "-isystem", headers, "-Wl,-e,DllMainCRTStartup", "native/windows.c",
        ]  # fmt: skip
    return [*command, "-fPIC"]


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a compiler in a folder; `BuildError` with the first line that says what is wrong."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        first = next((line for line in lines if "error" in line), lines[0] if lines else "no message")
        raise BuildError(f"{Path(command[0]).name} failed ({done.returncode}): {first.strip()}")


def own_tag() -> str:
    """The platform of a wheel whose library the compiler of this system made."""
    if sys.platform == "darwin":
        from packaging.tags import platform_tags

        return next(iter(platform_tags()))
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
