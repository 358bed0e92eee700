import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from lightmine import Encoder
from lightmine.errors import OutputError
from lightmine.store import Cache
from lightmine.system.atomic_files import atomic_write, is_abandoned
from tests.tiny import WORDS, write_bundle


@pytest.fixture
def encoder(tiny_bundle, monkeypatch):
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 16)
    monkeypatch.setattr("lightmine.encoder.batching.ENDS", 8)
    return Encoder.load(tiny_bundle)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def texts(count, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[2:], 5)) + f" {number}" for number in range(count)]


def entries(cache):
    return sorted(cache.folder.glob("*/*.npy"))


def test_the_cache_gives_what_encoding_gives(encoder, cache):
    right = encoder.encode(texts(100))
    first, second = cache.encode(encoder, texts(100)), cache.encode(encoder, texts(100))
    assert (first.found, second.found) == (0, 100)
    assert first.vectors.tobytes() == second.vectors.tobytes() == right.tobytes()


@pytest.mark.parametrize(
    "changed",
    [
        lambda old: old + texts(30, seed=1),
        lambda old: texts(5, seed=1) + old,
        lambda old: [*old[:70], "the cat", *old[70:]],
        lambda old: old[:70] + old[71:],
    ],
)
def test_a_changed_file_reuses_all_but_what_is_near_the_change(encoder, cache, changed):
    old = texts(200)
    cache.encode(encoder, old)
    new = changed(old)
    again = cache.encode(encoder, new)
    assert 120 <= again.found < len(new)
    assert again.vectors.tobytes() == encoder.encode(new).tobytes()


def test_texts_are_shared_between_files_and_options_are_not(encoder, cache, tmp_path):
    cache.encode(encoder, texts(50))
    other = Encoder.load(write_bundle(tmp_path / "other", max_tokens=11))
    assert cache.encode(encoder, texts(50), prompt="the ").found == 0
    assert cache.encode(encoder, texts(50), truncate_dim=4).vectors.shape == (50, 4)
    assert cache.encode(encoder, texts(50), precision="float16").vectors.dtype == np.float16
    assert cache.encode(other, texts(50)).found == 0
    assert cache.encode(Encoder.load(write_bundle(tmp_path / "copy")), texts(50)).found == 50
    assert sorted(kept.sentences for kept in cache.summaries()) == [50] * 5


def test_cut_sentences_are_counted_from_the_cache_too(encoder, cache):
    long = [text + " cat" * 20 for text in texts(40)] + texts(40)
    assert cache.encode(encoder, long).cut == cache.encode(encoder, long).cut == 40


def test_progress_counts_what_was_found(encoder, cache):
    cache.encode(encoder, texts(100))
    seen = []
    cache.encode(encoder, texts(130), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (130, 130)
    assert seen[0][0] > 60


@pytest.mark.parametrize("damage", ["bit", "short", "long", "empty", "other"])
def test_damage_is_noticed_and_made_good(encoder, cache, damage):
    right = cache.encode(encoder, texts(100)).vectors
    first, second, *_ = entries(cache)
    data = bytearray(first.read_bytes())
    if damage == "bit":
        data[200] ^= 4
    first.write_bytes(
        {"bit": data, "short": data[:-1], "long": data + b"x", "empty": b"", "other": second.read_bytes()}[
            damage
        ]
    )
    again = cache.encode(encoder, texts(100))
    # Another entry of as many rows is whole in itself; its name is what tells.
    if damage != "other":
        assert again.damaged == 1
        assert again.vectors.tobytes() == right.tobytes()
        assert cache.encode(encoder, texts(100)).damaged == 0


def test_entries_are_read_by_numpy_alone(encoder, cache):
    right = cache.encode(encoder, texts(10)).vectors
    found = np.concatenate([np.load(path, mmap_mode="r", allow_pickle=False) for path in entries(cache)])
    assert sorted(map(bytes, found)) == sorted(map(bytes, right))


def test_a_cache_that_cannot_be_written_is_said_and_nothing_is_lost(encoder, cache, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lightmine.store.cache_folder.atomic_write", full)
    encoded = cache.encode(encoder, texts(50))
    assert encoded.unwritten == f"{cache.folder}: No space left on device"
    assert encoded.vectors.tobytes() == encoder.encode(texts(50)).tobytes()


def test_a_file_is_no_cache(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: cannot be a cache: File exists"):
        Cache(tmp_path / "file")


def test_pruning_goes_by_age_and_size_and_spares_what_is_not_ours(encoder, cache):
    cache.encode(encoder, texts(100))
    paths = entries(cache)
    mine = cache.folder / "mine.npy"
    mine.touch()
    for age, path in enumerate(paths):
        os.utime(path, (0, 1000 - age))
    size = sum(path.stat().st_size for path in paths[1:])
    assert cache.prune(older_than=10_000, now=lambda: 1000) == (0, 0)
    assert cache.prune(older_than=len(paths) - 1.5, now=lambda: 1000)[0] == 1
    assert entries(cache) == paths[:-1]
    removed, freed = cache.prune(max_size=size - paths[-1].stat().st_size if paths[-1].exists() else 1)
    assert removed > 0
    assert freed > 0
    cache.encode(encoder, texts(100))
    assert cache.prune()[0] == len(paths)
    assert os.listdir(cache.folder) == ["mine.npy"]


def test_a_clock_set_back_makes_nothing_old(encoder, cache):
    cache.encode(encoder, texts(100))
    assert cache.prune(older_than=1, now=lambda: 0.0) == (0, 0)
    assert cache.encode(encoder, texts(100)).found == 100


def test_what_a_killed_job_left_goes_and_what_a_live_one_writes_stays(encoder, cache):
    cache.encode(encoder, texts(10))
    (entry, *_) = entries(cache)
    dead = entry.with_name(f".{entry.name}.1-0123abcd.part")
    dead.write_bytes(b"half")
    with atomic_write(entry.with_name("f" * 64 + ".npy")) as file:
        (live,) = set(entry.parent.glob(".*.part")) - {dead}
        assert not is_abandoned(live)
        cache.prune(older_than=1e9)
        assert live.exists()
        assert not dead.exists()
        file.write(b"whole")


def _job(folder, bundle, seed, results):
    import lightmine.encoder.encoder as module

    module.WINDOW = 16
    encoder, cache = Encoder.load(bundle, threads=1), Cache(folder)
    for turn in range(8):
        encoded = cache.encode(encoder, texts(60, seed=turn % 3))
        right = encoder.encode(texts(60, seed=turn % 3))
        if encoded.vectors.tobytes() != right.tobytes() or encoded.damaged or encoded.unwritten:
            results.put(f"seed {seed}, turn {turn}: {encoded.damaged} damaged, {encoded.unwritten}")
        if seed < 2:
            cache.prune()
            cache.summaries()
    results.put("done")


@pytest.mark.slow
def test_jobs_and_prunes_at_once_give_right_answers(tiny_bundle, tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    jobs = [
        context.Process(target=_job, args=(tmp_path / "c", tiny_bundle, seed, results)) for seed in range(3)
    ]
    for job in jobs:
        job.start()
    said = [results.get(timeout=120) for _ in jobs]
    for job in jobs:
        job.join()
    assert said == ["done"] * 3


def test_the_description_of_a_folder_is_put_back(encoder, cache):
    cache.encode(encoder, texts(10))
    (folder,) = (path.parent for path in entries(cache)[:1])
    (folder / "model.json").write_text("nonsense")
    (kept,) = cache.summaries()
    assert (kept.header, kept.sentences) == (None, 0)
    (folder / "model.json").unlink()
    cache.encode(encoder, texts(10, seed=5))
    assert cache.summaries()[0].header.model == "tiny"
    assert json.loads((folder / "model.json").read_text())["identity"]["model"] == encoder.fingerprint


@pytest.mark.parametrize(("failures", "unwritten"), [(2, False), (100, True)])
def test_a_folder_that_goes_while_it_is_made_is_made_again(
    tiny_bundle, tmp_path, monkeypatch, failures, unwritten
):
    encoder, cache, tries, real = Encoder.load(tiny_bundle), Cache(tmp_path / "c"), [], Path.mkdir

    def mkdir(path, *args, **options):
        if path.parent == tmp_path / "c":
            tries.append(path)
            if len(tries) <= failures:
                raise FileExistsError(17, "File exists", str(path))
        real(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    said = cache.encode(encoder, texts(5)).unwritten
    assert (said is not None) == unwritten
    assert not unwritten or "File exists" in said
    assert len(tries) >= 3
