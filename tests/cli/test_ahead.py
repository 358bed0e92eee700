"""What a long run says ahead: how far it is, and that the disk has no room."""

import collections
import gzip
import lzma
import os

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from lightmine.errors import OutputError
from lightmine.store import write_embeddings
from tests.command_line import run

__all__ = ["run"]

TEXTS = [f"the cat sat on {number}" for number in range(3000)]
LINES = ("\n".join(TEXTS) + "\n").encode()
ROW = 8 * 4  # bytes, of the tiny model


@pytest.fixture
def shown(monkeypatch):
    """What a progress bar on a terminal was told: how much is done and how much there is."""
    seen = []

    class Recorder:
        n, total = 0, None

        def __init__(self, **options):
            self.__dict__ |= options

        def update(self, by):
            self.n += by
            seen.append((self.n, self.total, self.bar_format))

        def close(self):
            pass

        @staticmethod
        def set_lock(lock):
            pass

    monkeypatch.setattr("tqdm.tqdm", Recorder)
    monkeypatch.setattr("lightmine.io.sources.CHUNK", 1 << 12)
    monkeypatch.setitem(__import__("lightmine.io.compression").io.compression.IN, "gz", 256)
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 400)
    return seen


@pytest.fixture
def on_a_terminal(run, monkeypatch, tiny_bundle, tmp_path):
    def on_a_terminal(file, **options):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        status, _, err = run("encode", file, "-o", tmp_path / "x.npy", "--model", tiny_bundle, **options)
        assert status == 0, err

    return on_a_terminal


def write_parquet(path):
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS}), path, row_group_size=500)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.txt", lambda path: path.write_bytes(LINES)),
        ("a.txt.gz", lambda path: path.write_bytes(gzip.compress(LINES))),
        ("a.parquet", write_parquet),
    ],
)
def test_a_file_shows_how_much_of_it_is_done(shown, on_a_terminal, tmp_path, name, write):
    write(tmp_path / name)
    on_a_terminal(tmp_path / name)
    # What was read and waits to be encoded is not done.
    assert all(done / total == pytest.approx(done / 3000, abs=0.15) for done, total, _ in shown)
    assert shown[0][0] < 600
    assert shown[-1][:2] == (3000, 3000)
    # A guess is not shown as a count.
    assert all("{total" not in form and "{percentage" in form for *_, form in shown)


def test_where_the_end_is_not_known_none_is_shown(shown, on_a_terminal):
    on_a_terminal("-", stdin=LINES)
    assert {(total, form) for _, total, form in shown} == {(None, None)}


@pytest.fixture
def disk(monkeypatch):
    """A disk with so many bytes left."""

    def disk(free):
        usage = collections.namedtuple("usage", "total used free")(10**9, 0, free)
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    return disk


@pytest.mark.parametrize("name", ["a.txt", "a.txt.xz"])
def test_a_disk_that_is_too_small_is_said_before_the_work(
    run, disk, monkeypatch, tiny_bundle, tmp_path, name
):
    file, out = tmp_path / name, tmp_path / "x.npy"
    file.write_bytes(lzma.compress(LINES) if name.endswith("xz") else LINES)
    disk(3000 * ROW - 1)
    with monkeypatch.context() as patch:
        patch.setattr("lightmine.encoder.encoder.Encoder.stream", None)
        status, _, err = run("encode", file, "-o", out, "--model", tiny_bundle)
    assert status == 2
    assert err == (
        f"lightmine: {out}: cannot be written: No space left on device, 96 kB are free; free some space "
        "and run the command again\n"
    )
    assert os.listdir(tmp_path) == [name]
    disk(3000 * ROW)
    assert run("encode", file, "-o", out, "--model", tiny_bundle)[0] == 0
    # What is finished needs no room any more.
    disk(0)
    status, _, err = run("encode", file, "-o", out, "--model", tiny_bundle)
    assert (status, "nothing to do" in err) == (0, True)


def test_what_is_kept_needs_no_room_again_and_what_is_not_known_is_not_asked(
    run, disk, monkeypatch, tiny_bundle, tmp_path
):
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 400)
    out = tmp_path / "x.npy"
    (tmp_path / "a.txt").write_bytes(LINES)
    (tmp_path / "half.txt.gz").write_bytes((packed := gzip.compress(LINES))[: len(packed) * 2 // 3])
    # Of a file that is damaged nobody knows how long it is: the work goes as far as it goes.
    disk(3000 * ROW - 1)
    status, _, err = run("encode", tmp_path / "half.txt.gz", "-o", out, "--model", tiny_bundle)
    assert (status, "ends too early" in err) == (2, True), err
    disk(2400 * ROW)
    status, _, err = run("encode", tmp_path / "a.txt", "-o", out, "--model", tiny_bundle)
    assert status == 0, err
    assert "were there already" in err
    disk(0)
    assert run("encode", "-", "-o", tmp_path / "y.npy", "--model", tiny_bundle, stdin=LINES)[0] == 0


def test_lines_that_have_a_length_are_counted(disk, tiny_bundle, tmp_path):
    from lightmine import Encoder

    encoder = Encoder.load(tiny_bundle)
    disk(10 * ROW - 1)
    with pytest.raises(OutputError, match="319 bytes are free; free some space and run"):
        write_embeddings(tmp_path / "x.npy", encoder, ["cat"] * 10)
    write_embeddings(tmp_path / "x.npy", encoder, iter(["cat"] * 10))
    assert len(np.load(tmp_path / "x.npy", allow_pickle=False)) == 10
