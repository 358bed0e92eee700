"""Faults in real runs of the command line, few of each; `make faults` has many, on more lines."""

import random
import signal

import pytest

from benchmarks.faults import disk, machine, stops, store, streams
from benchmarks.faults.bench import Bench
from benchmarks.faults.sources import made_up
from tests.tiny import write_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench(tmp_path_factory, tiny_bundle):
    folder = tmp_path_factory.mktemp("faults")
    source = folder / "source.txt"
    source.write_text(made_up(2000, 1))
    return Bench(folder, source, tiny_bundle, window=1024, slow=0.03, checkpoint=0)


@pytest.fixture
def rng():
    return random.Random(5)


@pytest.mark.parametrize("signals", [(signal.SIGKILL,), (signal.SIGTERM, signal.SIGINT)])
def test_encoding_goes_on_after_a_signal_at_any_moment(bench, rng, signals):
    assert stops.ended(bench, bench.encoding("ended.npy"), 3, rng, *signals).failed == []


@pytest.mark.parametrize("signals", [(signal.SIGKILL,), (signal.SIGTERM, signal.SIGINT)])
def test_mining_goes_on_after_a_signal_at_any_moment(bench, rng, signals):
    assert stops.ended(bench, bench.mining, 3, rng, *signals).failed == []


def test_a_kill_at_each_step_leaves_nothing_that_passes_for_whole(bench):
    outcome = stops.killed_at_each_step(bench)
    assert outcome.failed == []
    assert outcome.times > 10


def test_a_full_disk_keeps_the_previous_output_and_what_was_done(bench, rng):
    assert disk.full(bench, 1, rng).failed == []


def test_a_full_disk_keeps_the_previous_pairs(bench):
    assert disk.full_of_pairs(bench).failed == []


def test_errors_in_the_midst_of_the_input_keep_what_was_done(bench):
    assert streams.unreadable(bench).failed == []


def test_readers_that_go_away_are_met_in_silence(bench):
    assert streams.closed_pipe(bench).failed == []


def test_memory_that_is_not_granted_is_not_asked_for(bench, tmp_path):
    # 5.2 GB of embeddings, where 4 GiB of addresses are allowed.
    wide = write_bundle(tmp_path / "wide", dimension=1 << 16)
    assert machine.little_memory(bench, wide).failed == []


def test_of_writers_on_one_output_one_writes(bench):
    assert store.writers(bench, 1).failed == []
