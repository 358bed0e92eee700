import os

import pytest

from lightmine import threads


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota_is_read(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads.quota(tmp_path) == expected


def test_the_smaller_of_affinity_and_quota_counts(monkeypatch, tmp_path):
    (tmp_path / "cpu.max").write_text("100000 100000")
    monkeypatch.setattr(threads, "CGROUP", tmp_path)
    assert threads.default_threads() == 1
    (tmp_path / "cpu.max").write_text("6400000 100000")
    assert threads.default_threads() == len(os.sched_getaffinity(0))
