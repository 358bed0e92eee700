"""`lightmine.system.memory`: a job that needs too much memory is refused, and freed memory is returned."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lightmine import Encoder
from lightmine.errors import BudgetError
from lightmine.system.memory import check_memory, memory_limits

MEMINFO = "MemTotal:        8000 kB\nMemFree: 1 kB\nSwapTotal:       2000 kB\n"


def tree(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def unlimited(monkeypatch):
    monkeypatch.setattr("lightmine.system.memory.resource.getrlimit", lambda which: (-1, -1))


def sizes(root):
    return {room.source: room.size for room in memory_limits(root)}


def test_the_machine_and_both_versions_of_cgroups_are_asked(tmp_path, unlimited):
    root = tree(
        tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/a/b\n4:memory:/job\n",
        sys__fs__cgroup__a__memory_max="1000000", sys__fs__cgroup__a__memory_current="300000",
        sys__fs__cgroup__a__memory_stat="anon 5\nfile 100000\n", sys__fs__cgroup__a__b__memory_max="max",
        sys__fs__cgroup__a__b__memory_current="200000",
    )  # fmt: skip
    old = root / "sys/fs/cgroup/memory/job"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("700000\n")
    (old / "memory.usage_in_bytes").write_text("100000\n")
    assert sizes(root) == {
        "the cgroup /sys/fs/cgroup/a": 800_000,
        "the cgroup /sys/fs/cgroup/memory/job": 600_000,
        "the machine, empty,": 10_000 << 10,
    }


def test_the_limit_on_addresses_counts_what_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("lightmine.system.memory.resource.getrlimit", lambda which: (5_000_000, -1))
    root = tree(tmp_path, proc__self__status="Name: x\nVmSize:     1000 kB\n")
    assert sizes(root) == {"RLIMIT_AS (ulimit -v)": 5_000_000 - 1_024_000}
    check_memory(3_900_000, "few", root=root)
    with pytest.raises(BudgetError, match=r"many: needs 4 MB of memory, and RLIMIT_AS .*leaves 3.98 MB"):
        check_memory(4_000_000, "many", root=root)


def test_where_nothing_is_known_nothing_is_refused(tmp_path, unlimited):
    check_memory(1 << 60, "anything", root=tmp_path)


def is_mapped(address):
    ranges = (line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines())
    return any(int(start, 16) <= address < int(end, 16) for start, end in ranges)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_vectors_that_nobody_holds_any_more_are_the_systems_again(tiny_bundle):
    # Once glibc has seen a large array go, it keeps all that are smaller for later, with holes between them.
    assert np.zeros(7 << 20, np.float32).sum() == 0
    first, second = Encoder.load(tiny_bundle).stream(["the cat sat"] * 20_000)
    address = first.ctypes.data
    assert len(first) > len(second)
    assert is_mapped(address)
    del first
    assert not is_mapped(address)
