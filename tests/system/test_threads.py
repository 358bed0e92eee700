import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightmine.errors import ArgumentError
from lightmine.system import threads

VERSION_1 = "3:cpuset:/a\n2:cpu,cpuacct:/a/b\n1:name=systemd:/\n"


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    monkeypatch.delenv("LIGHTMINE_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def tree(root, own, files):
    """A file system's `proc` and `sys` with a process in the cgroups that `own` says."""
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()} | {"proc/self/cgroup": own}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, [2]),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, [1]),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, [3]),
        ("0::/\n", {"cpu.max": "max 100000\n"}, []),
        ("0::/\n", {"cpu.max": "nonsense"}, []),
        ("0::/\n", {"cpu.max": "100000 0"}, []),
        # A group's own limit and those of all that it is in.
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, [3]),
        # The path is the host's; what is mounted is the container's group.
        ("0::/kubepods/pod1/x\n", {"cpu.max": "100000 100000\n"}, [1]),
        ("0::/\n", {"unified/cpu.max": "100000 100000\n"}, [1]),
        ("0::/a\n", {"a/cpuset.cpus.effective": "0-2,5,7-8\n"}, [6]),
        ("0::/a\n", {"a/cpuset.cpus.effective": "\n", "a/cpuset.cpus": "3\n"}, [1]),
        (VERSION_1, {"cpu/a/b/cpu.cfs_quota_us": "400000\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, [4]),
        (VERSION_1, {f"cpu,cpuacct/a/cpu.cfs_{name}_us": "9\n" for name in ("quota", "period")}, [1]),
        (VERSION_1, {"cpu/a/b/cpu.cfs_quota_us": "-1\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, []),
        (VERSION_1, {"cpuset/a/cpuset.cpus": "0-3\n"}, [4]),
        (VERSION_1, {"cpuset/b/cpuset.cpus": "0-3\n"}, []),
        ("", {}, []),
    ],
)  # fmt: skip
def test_a_containers_limits_are_read(tmp_path, own, files, expected):
    found = threads.thread_limits(tree(tmp_path, own, files))
    assert found[0] == threads.ThreadLimit(len(os.sched_getaffinity(0)), "affinity")
    assert [limit.threads for limit in found[1:]] == expected


def test_without_proc_the_groups_that_are_mounted_count(tmp_path):
    tree(tmp_path, "", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"})
    (tmp_path / "proc/self/cgroup").unlink()
    assert [limit.threads for limit in threads.thread_limits(tmp_path)[1:]] == [1]


def test_the_smallest_limit_counts_and_says_where_it_comes_from(monkeypatch, tmp_path):
    tree(tmp_path, "0::/job\n", {"job/cpu.max": "50000 100000\n"})
    monkeypatch.setattr(threads, "ROOT", tmp_path)
    assert threads.thread_limit().threads == threads.default_threads() == 1
    tree(tmp_path, "0::/job\n", {"job/cpu.max": "6400000 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(100)))
    assert threads.thread_limit() == threads.ThreadLimit(
        64, "cgroup quota of 64 processors, /sys/fs/cgroup/job"
    )
    monkeypatch.setenv("LIGHTMINE_THREADS", "3")
    assert threads.thread_limit() == threads.ThreadLimit(3, "LIGHTMINE_THREADS")
    monkeypatch.setenv("LIGHTMINE_THREADS", "")
    assert threads.default_threads() == 64


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²"])
def test_a_thread_limit_that_is_no_number_is_refused(monkeypatch, value):
    monkeypatch.setenv("LIGHTMINE_THREADS", value)
    message = "LIGHTMINE_THREADS must be a whole number of at least 1, not .*; correct or unset it"
    with pytest.raises(ArgumentError, match=message):
        threads.default_threads()


def threads_of_a_new_process(prepare=None, **environment):
    code = "from lightmine.system.threads import default_threads; print(default_threads())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, preexec_fn=prepare, env=os.environ | environment,
    )  # fmt: skip
    return int(done.stdout)


def test_a_real_affinity_counts():
    one = min(os.sched_getaffinity(0))
    assert threads_of_a_new_process(lambda: os.sched_setaffinity(0, {one})) == 1


@pytest.fixture
def real_quota():
    """A cgroup that may use one processor's time; where we may not make one, the fixture trees must do."""
    text = Path("/proc/self/cgroup").read_text()
    version_1 = next((line.split(":")[2] for line in text.splitlines() if ":cpu:" in line), None)
    base = Path("/sys/fs/cgroup/cpu" if version_1 else "/sys/fs/cgroup")
    group = base / (version_1 or "").strip("/") / f"lightmine-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error.strerror}")
    try:
        if version_1:
            (group / "cpu.cfs_quota_us").write_text("100000")
        else:
            (group / "cpu.max").write_text("100000 100000")
    except OSError as error:
        group.rmdir()
        pytest.skip(f"no quota can be set here: {error.strerror}")
    yield group
    group.rmdir()


def test_a_real_quota_counts(real_quota):
    join = lambda: (real_quota / "cgroup.procs").write_text(str(os.getpid()))  # noqa: E731
    assert threads_of_a_new_process(join) == 1


TOKENISING = """
import os, time
from lightmine import Encoder
encoder = Encoder.load()
time.sleep(0.5)  # threads that loading joined may still be on their way out of the system's list
threads, variables = len(os.listdir("/proc/self/task")), dict(os.environ)
list(encoder._tokenizer.ids(["one", "two"] * 50))
assert dict(os.environ) == variables
print(len(os.listdir("/proc/self/task")) - threads)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Linux counts threads there")
@pytest.mark.parametrize(
    ("variables", "threads"),
    [({"LIGHTMINE_THREADS": "1"}, 1), ({"LIGHTMINE_THREADS": "1", "RAYON_NUM_THREADS": "5"}, 5)],
)
def test_the_tokenizers_threads_are_counted_too_and_what_the_user_asked_of_them_stays(variables, threads):
    kept = {k: v for k, v in os.environ.items() if k not in ("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM")}
    done = subprocess.run(
        [sys.executable, "-c", TOKENISING], capture_output=True, text=True, check=True, env=kept | variables
    )
    assert int(done.stdout) == threads


@pytest.mark.parametrize(
    ("openmp", "ours", "expected"),
    [
        ("1", None, [threads.ThreadLimit(1, "OMP_NUM_THREADS")]),
        ("3,2", None, [threads.ThreadLimit(3, "OMP_NUM_THREADS")]),
        ("1", "2", [threads.ThreadLimit(2, "LIGHTMINE_THREADS")]),
        ("many", None, []),
        ("0", None, []),
        ("", None, []),
    ],
)
def test_openmps_variable_counts_where_ours_is_not_set(monkeypatch, tmp_path, openmp, ours, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", openmp)
    if ours:
        monkeypatch.setenv("LIGHTMINE_THREADS", ours)
    asked = [limit for limit in threads.thread_limits(tmp_path) if limit.source.endswith("_THREADS")]
    assert asked == expected
