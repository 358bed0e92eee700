"""The compiled kernel in wheels: how it is built, and how a wheel is checked."""

import dataclasses
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from lightmine.engine import native

hatch_build = pytest.importorskip("hatch_build")  # needs hatchling
from supply.libraries import Library, read_library  # noqa: E402
from supply.wheels import build_wheel, faults, functions, library_faults  # noqa: E402

ROOT = Path(__file__).parents[1]
GNU, WINDOWS, MACOS = "x86_64-linux-gnu.2.28", "x86_64-windows-gnu", "aarch64-macos.11.0"
SMALL = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "lightmine/__init__.py")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Our sources without the models: what the build hook needs."""
    folder = tmp_path_factory.mktemp("tree")
    source = folder / "source"
    for name in SMALL:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "native", source / "native")
    (source / "models").mkdir()
    (source / "models/README.md").write_text("none\n")
    (source / "lightmine/engine").mkdir()
    # Left by an editable installation: no wheel carries it.
    (source / "lightmine/engine/kernel.so").write_bytes(b"old")
    return folder


def build(tree, out, **environment):
    """Build a wheel with variables of the environment; the process and the wheels."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTMINE_KERNEL")}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], cwd=tree / "source",
        capture_output=True, text=True, check=False,
        env=clean | {"SOURCE_DATE_EPOCH": "1600000000"} | environment,
    )  # fmt: skip
    return done, list(out.glob("*.whl"))


def names_of(wheel):
    with zipfile.ZipFile(wheel) as file:
        return [name for name in file.namelist() if name.startswith("lightmine/engine/kernel.")]


@pytest.mark.slow
def test_the_wheel_of_this_machine_carries_a_kernel_that_is_right(tree, tmp_path, monkeypatch):
    monkeypatch.delenv("LIGHTMINE_KERNEL_TARGET", raising=False)
    target = hatch_build.target()
    if target is None:
        pytest.skip("zig builds no kernel for this platform")
    done, (wheel,) = build(tree, tmp_path)
    assert done.returncode == 0, done.stderr
    assert faults(wheel, target) == []
    with zipfile.ZipFile(wheel) as file:
        file.extract(f"lightmine/engine/{native.NAME}", tmp_path)
    library = native.load(tmp_path / "lightmine/engine" / native.NAME)
    can = [name for name in native.VARIANTS if library.lightmine_can(native.VARIANTS.index(name))]
    assert can[0] == "portable"
    assert [name for name in can if not native.is_right(native.Kernel(library, name))] == []


@pytest.mark.slow
@pytest.mark.parametrize("target", [WINDOWS, MACOS])
def test_wheels_of_other_platforms_are_compiled_and_checked(tree, target, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    wheel = build_wheel(tree, target)
    assert faults(wheel, target) == []
    (wrong, *_) = faults(wheel, GNU)
    assert wrong == "its name does not end with the tag py3-none-manylinux_2_28_x86_64"


def test_without_a_kernel_the_wheel_is_for_every_platform(tree, tmp_path):
    done, (wheel,) = build(tree, tmp_path, LIGHTMINE_KERNEL="none")
    assert done.returncode == 0, done.stderr
    assert wheel.name.endswith("-py3-none-any.whl")
    assert names_of(wheel) == []


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="there is no system compiler")
def test_the_systems_compiler_makes_a_wheel_for_this_system(tree, tmp_path):
    done, (wheel,) = build(tree, tmp_path, LIGHTMINE_KERNEL="cc")
    assert done.returncode == 0, done.stderr
    assert wheel.name.endswith(f"-py3-none-{hatch_build.own_tag()}.whl")
    assert names_of(wheel) == [f"lightmine/engine/{native.NAME}"]
    with zipfile.ZipFile(wheel) as file:
        assert functions() <= read_library(file.read(names_of(wheel)[0])).exports


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"LIGHTMINE_KERNEL": "gcc"}, "lightmine: LIGHTMINE_KERNEL is zig, cc or none, not 'gcc'"),
        ({"LIGHTMINE_KERNEL_TARGET": "mips"}, "lightmine: LIGHTMINE_KERNEL_TARGET is one of x86_64-"),
        ({"LIGHTMINE_KERNEL": "cc", "LIGHTMINE_KERNEL_TARGET": WINDOWS},
         "lightmine: LIGHTMINE_KERNEL_TARGET needs LIGHTMINE_KERNEL=zig\n"),
        ({"LIGHTMINE_KERNEL": "cc", "CC": "no-such-compiler"},
         "lightmine: no-such-compiler cannot be run: No such file or directory\n"),
    ],
)  # fmt: skip
def test_a_build_that_was_asked_for_and_cannot_be_fails_in_one_line(tree, tmp_path, environment, message):
    done, wheels = build(tree, tmp_path, **environment)
    assert (done.returncode, wheels) == (1, [])
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_build_that_was_not_asked_for_and_fails_gives_a_wheel_without(tree, tmp_path):
    source = tree / "source/native/kernel.c"
    good = source.read_text()
    try:
        source.write_text("int broken(\n")
        done, (wheel,) = build(tree, tmp_path)
    finally:
        source.write_text(good)
    assert done.returncode == 0
    assert wheel.name.endswith("-py3-none-any.whl")
    told = " ".join((done.stdout + done.stderr).split())
    assert "lightmine: no compiled kernel, mining will use NumPy: zig failed (1): native/kernel.c:" in told


def test_zig_is_asked_for_only_where_it_will_be_used(monkeypatch):
    hook = hatch_build.KernelHook("", {}, None, None, "", "wheel")
    monkeypatch.setenv("LIGHTMINE_KERNEL_TARGET", GNU)
    monkeypatch.delenv("LIGHTMINE_KERNEL", raising=False)
    assert hook.dependencies() == [hatch_build.ZIGLANG]
    for other in ("none", "cc"):
        monkeypatch.setenv("LIGHTMINE_KERNEL", other)
        assert hook.dependencies() == []
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert all(hatch_build.ZIGLANG in groups[name] for name in ("test", "supply"))


@pytest.mark.parametrize(
    ("system", "machine", "platform_name", "target"),
    [
        ("linux", "x86_64", "linux-x86_64", "x86_64-linux-gnu.2.28"),
        ("linux", "riscv64", "linux-riscv64", None),
        ("darwin", "arm64", "macosx-11.0-universal2", "aarch64-macos.11.0"),
        ("win32", "ARM64", "win-amd64", "x86_64-windows-gnu"),  # an interpreter for x86-64 on arm64
        ("win32", "AMD64", "win32", None),
        ("freebsd14", "amd64", "freebsd-14-amd64", None),
    ],
)
def test_the_platform_is_that_of_the_interpreter(monkeypatch, system, machine, platform_name, target):
    monkeypatch.delenv("LIGHTMINE_KERNEL_TARGET", raising=False)
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("sysconfig.get_platform", lambda: platform_name)
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: "cpython-311-x86_64-linux-gnu")
    assert hatch_build.target() == target


GOOD = Library("elf", "x86_64", frozenset(functions()), frozenset({"libc.so.6"}), frozenset({"GLIBC_2.14"}))
APPLE = Library(
    "macho", "aarch64", frozenset(functions()), frozenset({"/usr/lib/libSystem.B.dylib"}), frozenset(),
    (11, 0), True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("library", "target", "change", "fault"),
    [
        (GOOD, GNU, {"machine": "aarch64"}, "the library is elf for aarch64"),
        (GOOD, GNU, {"exports": GOOD.exports | {"cpuid"}}, "exported and declared functions differ: cpuid"),
        (GOOD, GNU, {"exports": GOOD.exports - {"lightmine_abi"}},
         "exported and declared functions differ: lightmine_abi"),
        (GOOD, GNU, {"needed": frozenset({"libc.so.6", "libm.so.6"})}, "needs libm.so.6"),
        (GOOD, GNU, {"versions": frozenset({"GLIBC_2.28", "GLIBC_2.34"})}, "needs GLIBC_2.34"),
        (APPLE, MACOS, {"system": (13, 0)}, "is for macOS 13.0"),
        (APPLE, MACOS, {"signed": False}, "is not signed"),
    ],
)  # fmt: skip
def test_each_check_of_a_library_finds_its_fault(library, target, change, fault):
    assert library_faults(library, target) == []
    assert library_faults(dataclasses.replace(library, **change), target) == [fault]


def test_what_is_no_library_is_refused():
    with pytest.raises(ValueError, match="neither ELF, PE nor Mach-O of 64 bits"):
        read_library(b"#!/bin/sh\n")
