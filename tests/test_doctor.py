"""The doctor tells what works, by trying it, and what would help."""

import importlib
import json
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import lightmine
from lightmine import doctor
from lightmine.cli import main
from lightmine.doctor import advice, examine
from lightmine.engine import native
from lightmine.errors import BudgetError, MissingExtraError
from lightmine.system import memory
from lightmine.untrusted.onnx_header import read_graph


@pytest.fixture(scope="module")
def report():
    return examine(seconds=0)


def altered(report, **sections):
    """A report with some values of its sections replaced: ``section={"name": value}``."""
    return report | {name: report[name] | values for name, values in sections.items()}


def healthy(report):
    """The same on a machine of which nothing is to be said."""
    features = dict.fromkeys(report["processor"]["features"], False)
    return altered(
        report, packages={"onnxruntime-gpu": None},
        kernel={"library": True, "variant": "avx2", "reason": "avx2"}, processor={"features": features},
        threads={"source": "affinity", "limit": 10**6},
        memory={"bytes": 2**36, "limit": None},
    )  # fmt: skip


def test_what_is_reported_was_tried(report):
    cpu = report["providers"]["cpu"]
    assert cpu["runs"] is True
    assert "workers of one thread" in cpu["detail"]
    assert set(report["providers"]) == {"cpu", "openvino", "cuda"}
    assert report["kernel"]["variant"] in (*native.VARIANTS, None)
    assert report["kernel"]["library"] == native.LIBRARY.exists()
    assert report["threads"]["limit"] == min(report["threads"]["limits"].values())
    assert report["packages"]["onnxruntime"]
    assert report["benchmark"] == {}
    json.dumps(report)


def test_a_provider_that_cannot_or_calculates_wrongly_does_not_run(monkeypatch):
    def missing(path, **_):
        raise MissingExtraError(f"{path}: not here\nand more")

    monkeypatch.setattr(doctor, "open_graph", missing)
    assert doctor._provider("cuda") == {"runs": False, "detail": "not here"}
    session = SimpleNamespace(run=lambda output, feed: np.zeros((3, 3), np.float32))
    opened = SimpleNamespace(session=session, reason="asked for; on a GPU")
    monkeypatch.setattr(doctor, "open_graph", lambda path, **_: opened)
    wrong = {"runs": False, "detail": "on a GPU, but its product is wrong"}
    assert doctor._provider("cuda") == wrong


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (dict(packages={"onnxruntime-gpu": "1.31.1"}), "overwrite each other: pip uninstall -y"),
        (dict(providers={"cpu": {"runs": False, "detail": "no libx"}}), r"fails \(no libx\)\. Install"),
        (dict(kernel={"library": False, "variant": None, "reason": "none here"}),
         r"^Mining uses NumPy \(none here\): its answers are the same, .* slower\. Install a wheel that was"),
        (dict(kernel={"library": True, "variant": None, "reason": "none suits"}),
         r"^Mining uses NumPy \(none suits\): its answers are the same, and it is several times slower\.$"),
        (dict(memory={"limit": 2**29}), r"0\.5 GiB of memory: mine with --memory-budget 128MiB"),
        (dict(memory={"bytes": 2**30}), r"1\.0 GiB of memory: mine with --memory-budget 256MiB"),
    ],
)  # fmt: skip
def test_advice_is_given_where_it_is_needed(report, sections, message, monkeypatch):
    monkeypatch.setattr(doctor, "_gpu", lambda: False)
    assert list(advice(healthy(report))) == []
    (found,) = advice(altered(healthy(report), **sections))

    assert re.search(message, found), found


def test_int8_models_need_a_target_where_8_bit_products_overflow(report, monkeypatch):
    monkeypatch.setattr(doctor, "_gpu", lambda: False)
    features = healthy(report)["processor"]["features"]
    old = altered(healthy(report), processor={"features": features | {"AVX2": True}})
    assert list(advice(old)) == [
        "This processor has no VNNI: 8-bit weights overflow, so int8 models must be exported for it "
        "(lightmine export --target avx2)."
    ]
    new = altered(healthy(report), processor={"features": features | {"AVX2": True, "VNNI": True}})
    assert list(advice(new)) == []


def test_the_kernel_that_mining_uses_is_named_with_the_reason(monkeypatch, tmp_path):
    absent = native.find_kernel(tmp_path / "kernel.so")
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    unreadable = native.find_kernel(broken)
    assert unreadable[0] is None
    for found, reason in (
        (absent, "this installation has no compiled kernel"),
        (unreadable, "the compiled kernel cannot be loaded: file too short"),
        ((native.Kernel(None, "avx2"), "avx2; avx-vnni is wrong here"), "avx2; avx-vnni is wrong here"),
    ):
        monkeypatch.setattr(native, "find_kernel", lambda found=found: found)
        kernel = doctor._kernel()
        assert kernel["reason"] == reason
        line = importlib.import_module("lightmine.cli.doctor")._kernel(kernel)
        if found[0]:
            assert line == f"compiled, {reason}; its products were compared with integer arithmetic"
        else:
            assert (kernel["variant"], line) == (None, f"NumPy: {reason}")


def test_advice_about_limits_and_unused_hardware(report, monkeypatch):
    monkeypatch.setattr(doctor, "_gpu", lambda: True)
    (found,) = advice(healthy(report))
    assert found.startswith("There is an NVIDIA GPU that is not used: ")
    monkeypatch.setattr(doctor, "_gpu", lambda: False)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    threads = {"source": "cgroup quota of 2 processors, /sys/fs/cgroup", "limit": 2}
    assert list(advice(altered(healthy(report), threads=threads))) == [
        "The container grants 2 of 64 processors; more would be faster."
    ]
    monkeypatch.setenv("LIGHTMINE_THREADS", "8")
    (_, found) = advice(altered(healthy(report), threads=threads))
    assert found == "LIGHTMINE_THREADS asks for 8 and 2 are granted: it changes nothing."
    bf16 = altered(
        healthy(report), processor={"features": report["processor"]["features"] | {"AMX bf16": True}},
        providers={"openvino": {"runs": False, "detail": "not installed"}},
    )  # fmt: skip
    monkeypatch.delenv("LIGHTMINE_THREADS")
    assert next(advice(bf16)).startswith("This processor computes in bf16: OpenVINO encodes")


def test_the_memory_limit_of_a_nested_cgroup_is_that_of_the_memory_checks(tmp_path, monkeypatch):
    inner = tmp_path / "sys/fs/cgroup/pod/app"
    inner.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/pod/app\n")
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    assert examine(seconds=0)["memory"]["limit"] is None
    (inner / "memory.max").write_text("max\n")
    (inner.parent / "memory.max").write_text(f"{2**29}\n")
    (inner.parent / "memory.current").write_text("0\n")
    assert examine(seconds=0)["memory"]["limit"] == 2**29
    with pytest.raises(BudgetError, match="the cgroup /sys/fs/cgroup/pod leaves 537 MB"):
        memory.check_memory(2**29 + 1, "rows")


def test_a_memory_limit_of_version_1_is_read(tmp_path):
    group = tmp_path / "sys/fs/cgroup/memory"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory.container_memory(tmp_path) is None
    (group / "memory.limit_in_bytes").write_text("536870912\n")
    assert memory.container_memory(tmp_path) == 2**29


def test_the_graph_that_providers_are_tried_with_is_a_file_of_the_package():
    assert doctor.PRODUCT.is_relative_to(Path(lightmine.__file__).parent)
    assert [value.name for value in read_graph(doctor.PRODUCT).inputs] == ["a", "b"]


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["lightmine", "doctor", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, capsys.readouterr().out


@pytest.mark.slow
def test_the_command_prints_lines_or_json(monkeypatch, capsys):
    start = time.monotonic()
    status, out = run(monkeypatch, capsys, "--seconds", "0.5")
    assert status == 0
    assert time.monotonic() - start < 60
    lines = {line[:11].strip(): line[12:] for line in out.splitlines() if line[:11].strip()}
    assert list(lines) == [
        "lightmine", "packages", "processor", "threads", "memory", "cpu", "openvino", "cuda", "kernel",
        "encoding", "mining", "advice",
    ]  # fmt: skip
    assert lines["cpu"].startswith("runs: ")
    status, out = run(monkeypatch, capsys, "--json", "--seconds", "0")
    assert json.loads(out)["providers"]["cpu"]["runs"] is True


def test_the_command_fails_where_nothing_runs(monkeypatch, capsys):
    def broken(path, **_):
        raise ImportError("libonnxruntime.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "open_graph", broken)
    status, out = run(monkeypatch, capsys)
    assert status == 1
    assert "cpu         does not run: libonnxruntime.so: cannot open shared object file" in out
    assert "advice      Nothing can run: ONNX Runtime fails (libonnxruntime.so" in out
