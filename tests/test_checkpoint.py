"""An interrupted job resumes from its checkpoint, and its answer is the same to the byte."""

import dataclasses
import functools
import io
import json
import os
import resource
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from lightmine import mine_bitext, unit_rows
from lightmine.engine import checkpoint, worker
from lightmine.engine.job import Job
from lightmine.engine.selection import Candidates
from lightmine.engine.spec import JoinSpec
from lightmine.engine.tiling import Plan
from lightmine.engine.tuning import Tuning
from lightmine.errors import ArgumentError, BudgetError, OutputError, StoreError
from lightmine.paraphrase import _mine
from lightmine.search import _neighbors
from tests.variants import needs_kernel


class Stop(BaseException):
    """As Ctrl-C is: no error that anything may swallow."""


# Small inputs take the paths of large ones, and every tile may be the last before a checkpoint.
SMALL = Tuning(
    small_pairs=1, small_side=1, native_tile=(16, 32), numpy_tile=(16, 32), estimate_rows=40,
    survivors_at_once=20, found_capacity=0, checkpoint_interval=0.0, checkpoint_patience=0.0,
)  # fmt: skip


def mine_paraphrases(x, *, tuning=SMALL, top_k=100, max_pairs=500_000, threshold=None, max_score=None, **job):
    limits = dict(top_k=top_k, max_pairs=max_pairs, threshold=threshold, max_score=max_score)
    return _mine(x, **limits, job=Job(tuning=tuning, **job))


def neighbors(x, y, *, k, both, **job):
    return _neighbors(x, y, k, both, Job(tuning=SMALL, **job))


KERNELS = ["numpy", pytest.param("native", marks=needs_kernel)]


def rows(seed, n=400, d=24):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n // 9, d))[rng.integers(0, n // 9, n)] + 0.4 * rng.standard_normal((n, d))
    x[rng.integers(0, n, n // 10)] = x[rng.integers(0, n, n // 10)]
    return unit_rows(x)


def stopping(monkeypatch, tile, part):
    """Stop at some tile: before it is begun, after some of its pairs were offered, or once it is done."""
    seen = [0]
    finish, offer = worker.SharedState.finish, Candidates.offer

    def finishing(self, *where):
        if part != "done":
            finish(self, *where)
        seen[0] += 1
        if part == "done":
            finish(self, *where)
        if seen[0] == tile and part != "offered":
            raise Stop

    def offering(self, *what):
        offer(self, *what)
        if seen[0] >= tile and part == "offered":
            raise Stop

    monkeypatch.setattr(worker.SharedState, "finish", finishing)
    monkeypatch.setattr(Candidates, "offer", offering)


def stops(tile, part, job):
    """Whether a job that is to be stopped at some tile gets there."""
    with pytest.MonkeyPatch.context() as patch:
        stopping(patch, tile, part)
        try:
            job()
        except Stop:
            return True
    return False


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("left", "right", "score")
    )


@pytest.mark.slow
@pytest.mark.parametrize("part", ["done", "offered"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "options",
    [
        dict(top_k=5, max_pairs=600),
        dict(top_k=None, max_pairs=None, threshold=0.7),
        dict(top_k=3, max_pairs=None, max_score=0.95),
        dict(top_k=None, max_pairs=300),
    ],
)
def test_a_job_that_is_stopped_again_and_again_ends_with_the_same_answer(tmp_path, options, kernel, part):
    x = rows(0)
    options = options | dict(kernel=kernel, threads=2)
    whole = mine_paraphrases(x, **options)
    told = []
    stopped = [
        stop
        for stop in (1, 17, 40, 90)
        if stops(stop, part, lambda: mine_paraphrases(x, resume=str(tmp_path), **options))
    ]
    # Pairs are offered by the first tiles alone, once min_score is estimated.
    assert stopped[:2] == [1, 17]
    found = mine_paraphrases(x, resume=str(tmp_path), progress=lambda *at: told.append(at), **options)
    assert same(found, whole)
    assert told[1][0] > 0 or told[0][0] > 0, "nothing was left of what was done"
    # A job that is over is found again, and answers at once.
    assert not stops(1, "done", lambda: mine_paraphrases(x, resume=str(tmp_path), **options))
    assert same(mine_paraphrases(x, resume=str(tmp_path), **options), whole)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_job_of_two_sides_resumes_too(tmp_path, kernel):
    x, y = rows(1, 300), rows(2, 350)
    whole = neighbors(x, y, k=3, both=True, kernel=kernel)
    bitext = mine_bitext(x, y, k=3)
    job = functools.partial(neighbors, x, y, k=3, both=True, kernel=kernel, resume=str(tmp_path))
    assert stops(30, "offered", job)
    found = job()
    for one, other in ((found, whole), (found.reverse, whole.reverse)):
        assert np.array_equal(one.index, other.index)
        assert np.array_equal(one.score, other.score)
    again = mine_bitext(x, y, k=3, resume=str(tmp_path / "another"))
    assert list(again) == list(bitext)


def test_a_checkpoint_of_another_job_is_refused_by_what_differs(tmp_path):
    x = rows(0)
    mine_paraphrases(x, top_k=5, resume=str(tmp_path))
    tuning = dataclasses.replace(SMALL, native_tile=(8, 32), numpy_tile=(8, 32))
    for options, reason in (
        (dict(top_k=6), "other options"),
        (dict(top_k=5, threshold=0.3), "other options"),
        (dict(top_k=5, tuning=tuning), "another memory_budget"),
    ):
        with pytest.raises(ArgumentError, match=reason):
            mine_paraphrases(x, resume=str(tmp_path), **options)
    with pytest.raises(ArgumentError, match="other embeddings"):
        mine_paraphrases(x[::-1].copy(), top_k=5, resume=str(tmp_path))


def test_the_file_keeps_the_names_of_its_format(tmp_path):
    mine_paraphrases(rows(0), top_k=5, resume=str(tmp_path))
    facts = json.loads(np.load(tmp_path / checkpoint.NAME)["job"].tobytes())
    assert set(facts) == {"format", "left", "right", "spec", "tiles", "min_score", "lowest"}
    assert set(facts["spec"]) == {
        "n", "m", "self_join", "k_left", "k_right", "min_score", "max_score", "max_pairs",
    }  # fmt: skip


def damaged(path, how):
    data = path.read_bytes()
    if how == "half":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name, array = how
        old = np.lib.format.read_array(io.BytesIO(members[f"{name}.npy"]))
        out = io.BytesIO()
        np.lib.format.write_array(out, array(old))
        with zipfile.ZipFile(path, "w") as archive:
            for each, content in members.items():
                archive.writestr(each, out.getvalue() if each == f"{name}.npy" else content)


@pytest.mark.parametrize(
    "how",
    [
        "half",
        "flipped",
        "empty",
        ("left", lambda old: old + np.int32(10_000)),
        ("right", lambda old: -old - 1),
        ("score", lambda old: old[1:]),
        ("score", lambda old: old.astype(np.float64)),
        ("bounds_left", lambda old: old[:-1]),
        ("done", lambda old: old[:-1]),
    ],
    ids=lambda how: how if isinstance(how, str) else how[0],
)
def test_a_damaged_checkpoint_is_said_to_be_one(tmp_path, how):
    x = rows(0)
    mine_paraphrases(x, top_k=5, resume=str(tmp_path))
    path = tmp_path / checkpoint.NAME
    damaged(path, how)
    with pytest.raises(ArgumentError, match=r"delete it to begin anew") as raised:
        mine_paraphrases(x, top_k=5, resume=str(tmp_path))
    assert str(path) in str(raised.value)


def test_one_folder_is_for_one_process_at_a_time(tmp_path):
    x = rows(0)

    def meanwhile(done, total):
        with pytest.raises(StoreError, match="in use: another process writes there"):
            mine_paraphrases(x, top_k=6, resume=str(tmp_path))

    mine_paraphrases(x, top_k=5, resume=str(tmp_path), progress=meanwhile)


def test_a_folder_that_cannot_be_written_is_an_error_and_what_was_saved_stands(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.*cannot be written"):
        mine_paraphrases(rows(0), resume=str(tmp_path / "file"))
    x, folder = rows(0), tmp_path / "folder"
    whole = mine_paraphrases(x, top_k=5)
    assert stops(20, "done", lambda: mine_paraphrases(x, top_k=5, resume=str(folder)))
    before = (folder / checkpoint.NAME).read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limit[1]))
    try:
        with pytest.raises(OutputError, match=r"folder: cannot be written: File too large; raise the limit"):
            mine_paraphrases(x, top_k=5, resume=str(folder))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (folder / checkpoint.NAME).read_bytes() == before
    assert {path.name for path in folder.iterdir()} <= {checkpoint.NAME, f"{checkpoint.NAME}.lock"}
    assert same(mine_paraphrases(x, top_k=5, resume=str(folder)), whole)


def test_a_threshold_that_lets_too_many_through_is_still_refused(tmp_path):
    tuning = dataclasses.replace(SMALL, bytes_per_pair=1 << 20)
    options = dict(top_k=None, max_pairs=None, threshold=-1.0, tuning=tuning)
    for _ in range(2):
        with pytest.raises(BudgetError, match="pairs qualify"):
            mine_paraphrases(rows(0), resume=str(tmp_path), **options)


def test_checkpoints_take_a_small_part_of_the_time(tmp_path):
    now, saved = [0.0], []

    def clock():
        # Saving asks for the time before and after; a save takes three seconds.
        now[0] += 3.0 * saving[0]
        return now[0]

    x, saving = rows(0), [False]
    spec = JoinSpec(len(x), len(x), self_join=True, max_pairs=100)
    plan = Plan(len(x), len(x), True, 16, 32, 1, 1000)
    pairs = mine_paraphrases(x[:2])
    state = checkpoint.State(0.0, np.float32(0), (None, None), np.zeros((25, 13), bool), [pairs])
    with checkpoint.Checkpoint(str(tmp_path), x, None, spec, plan, clock=clock) as one:
        while now[0] < 3000:
            now[0] += 0.5
            if one.due():
                saving[0] = True
                one.save(state)
                saving[0] = False
                saved.append(now[0])
    assert saved[0] >= 60
    assert 3.0 * len(saved) / now[0] < 0.02


KILLED = """
import sys, numpy as np
from lightmine.engine.job import Job
from lightmine.engine.tuning import Tuning
from lightmine.paraphrase import _mine
tuning = Tuning(checkpoint_interval=0.0, checkpoint_patience=0.0)
x = np.load(sys.argv[1])
print("ready", flush=True)
pairs = _mine(x, top_k=20, max_pairs=5000, job=Job(resume=sys.argv[2], tuning=tuning))
np.savez(sys.argv[3], left=pairs.left, right=pairs.right, score=pairs.score)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_nothing(tmp_path, rng):
    x = rows(3, 6000, 64)
    np.save(tmp_path / "x.npy", x)
    whole = mine_paraphrases(x, top_k=20, max_pairs=5000)
    command = [
        sys.executable,
        "-c",
        KILLED,
        *(str(tmp_path / name) for name in ("x.npy", "kept", "found.npz")),
    ]
    environment = os.environ | {"LIGHTMINE_THREADS": "1"}
    for delay in (0.05, 0.3, 0.6, 0.9):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    found = np.load(tmp_path / "found.npz")
    assert all(found[name].tobytes() == getattr(whole, name).tobytes() for name in ("left", "right", "score"))
