"""Faults in real runs of the command line, few of each; `make faults` has many, on more lines."""

import random

import pytest

from benchmarks import faults
from tests.tiny import write_bundle


@pytest.fixture(scope="module")
def bench(tmp_path_factory, tiny_bundle):
    folder = tmp_path_factory.mktemp("faults")
    source = folder / "source.txt"
    source.write_text(faults.made_up(2000, 1))
    return faults.Bench(folder, source, tiny_bundle, window=1024, slow=0.03)


@pytest.fixture
def rng():
    return random.Random(5)


def test_a_kill_at_any_moment_loses_no_finished_block(bench, rng):
    assert faults.killed(bench, 3, rng).failed == []


def test_a_kill_at_each_step_leaves_nothing_that_passes_for_whole(bench):
    outcome = faults.killed_at_each_step(bench)
    assert outcome.failed == []
    assert outcome.times > 10


def test_sigterm_and_ctrl_c_are_met(bench, rng):
    assert faults.stopped(bench, 2, rng).failed == []


def test_a_full_disk_keeps_the_previous_output_and_what_was_done(bench, rng):
    assert faults.full_disk(bench, 1, rng).failed == []


def test_a_full_disk_keeps_the_previous_pairs(bench):
    assert faults.full_disk_of_pairs(bench).failed == []


def test_errors_in_the_midst_of_the_input_keep_what_was_done(bench):
    assert faults.unreadable(bench).failed == []


def test_readers_that_go_away_are_met_in_silence(bench):
    faults.few_lines(bench)
    assert faults.closed_pipe(bench).failed == []


def test_memory_that_is_not_granted_is_not_asked_for(tmp_path, tiny_bundle):
    # 5.2 GB of embeddings, where 4 GiB of addresses are allowed.
    many = tmp_path / "many.txt"
    many.write_text(faults.made_up(20_000, 1))
    wide = write_bundle(tmp_path / "wide", dimension=1 << 16)
    large = faults.Bench(tmp_path, many, tiny_bundle, window=4096)
    assert faults.little_memory(large, wide).failed == []


def test_of_writers_on_one_output_one_writes(bench):
    assert faults.two_writers(bench, 1).failed == []
