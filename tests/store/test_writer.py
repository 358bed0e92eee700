import json
import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightmine import Encoder
from lightmine.errors import OutputError, StoreError, TextError
from lightmine.store import open_embeddings, write_embeddings
from lightmine.store.journal import journal_path, kept_rows, part_path
from lightmine.store.manifest import DTYPES, StoreManifest, manifest_path, read_manifest
from tests.tiny import write_bundle

WORDS = ["the cat sat", "", "a red log", " \t", "the dog ran under the sky", "log", "mat", "sky", ""]


class Killed(BaseException):
    """Stands for whatever ends a process in the midst."""


@pytest.fixture
def encoder(tiny_bundle, monkeypatch):
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 4)
    return Encoder.load(tiny_bundle)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.npy"


def many(count):
    return [WORDS[(number * number) % len(WORDS)] for number in range(count)]


def until(lines, count):
    """Lines, and a kill after so many."""
    for number, line in enumerate(lines):
        if number == count:
            raise Killed
        yield line


def interrupt(path, encoder, lines, count, **options):
    with pytest.raises(Killed):
        write_embeddings(path, encoder, until(lines, count), **options)


def test_rows_are_the_lines_vectors_and_blank_ones_zeros(encoder, path):
    lines = many(50)
    written = write_embeddings(path, encoder, lines)
    rows = np.load(path, mmap_mode="r", allow_pickle=False)
    for line, row in zip(lines, rows, strict=True):
        expected = encoder.encode([line])[0] if line.strip() else np.zeros(8)
        assert row == pytest.approx(expected, abs=1e-6)
    assert written.manifest.sentences == sum(bool(line.strip()) for line in lines)
    found = open_embeddings(path, verify=True)
    assert found.manifest == written.manifest
    assert not found.vectors.flags.writeable
    assert sorted(os.listdir(path.parent)) == ["x.npy", "x.npy.json"]


def test_the_file_is_what_numpy_itself_would_have_written(encoder, path, tmp_path):
    write_embeddings(path, encoder, many(30))
    np.save(tmp_path / "own.npy", np.load(path))
    assert path.read_bytes() == (tmp_path / "own.npy").read_bytes()


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "binary"])
def test_every_precision_is_kept_and_continued(encoder, path, tmp_path, precision):
    lines = many(60)
    options = {"precision": precision}
    if precision == "int8":
        options["ranges"] = encoder.calibrate([line for line in lines if line.strip()])
    whole = tmp_path / "whole.npy"
    write_embeddings(whole, encoder, lines, **options)
    interrupt(path, encoder, lines, 40, **options)
    assert write_embeddings(path, encoder, lines, **options).found > 0
    assert path.read_bytes() == whole.read_bytes()
    assert manifest_path(path).read_bytes() == manifest_path(whole).read_bytes()
    sentences = [line for line in lines if line.strip()]
    assert (
        np.load(path)[[bool(line.strip()) for line in lines]] == encoder.encode(sentences, **options)
    ).all()


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60), st.data())
def test_whenever_it_is_stopped_it_goes_on_to_the_same_bytes(tiny_bundle, tmp_path_factory, lines, data):
    folder = tmp_path_factory.mktemp("any")
    lines = [*lines, "cat"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightmine.encoder.encoder.WINDOW", 4)
        encoder = Encoder.load(tiny_bundle)
        write_embeddings(folder / "whole.npy", encoder, lines)
        for stop in data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=4)):
            interrupt(folder / "x.npy", encoder, lines, stop)
            assert not (folder / "x.npy").exists()
        write_embeddings(folder / "x.npy", encoder, lines)
    assert (folder / "x.npy").read_bytes() == (folder / "whole.npy").read_bytes()
    assert sorted(os.listdir(folder)) == ["whole.npy", "whole.npy.json", "x.npy", "x.npy.json"]


def test_what_is_unfinished_is_no_numpy_file(encoder, path):
    interrupt(path, encoder, many(60), 50)
    assert kept_rows(path) > 0
    assert part_path(path).exists()
    with pytest.raises(ValueError, match="pickle"):
        np.load(part_path(path), allow_pickle=False)
    with pytest.raises(StoreError, match=r"no such file, nor a manifest x\.npy\.json"):
        open_embeddings(path)


def test_finished_blocks_are_not_encoded_again(encoder, path, monkeypatch):
    lines = many(60)
    interrupt(path, encoder, lines, 50)
    kept = kept_rows(path)
    given = []
    stream = encoder.stream
    monkeypatch.setattr(
        encoder, "stream", lambda texts, **more: stream((given.append(t) or t for t in texts), **more)
    )
    assert write_embeddings(path, encoder, lines).found == kept
    assert given == [line for line in lines[kept:] if line.strip()]
    given.clear()
    assert write_embeddings(path, encoder, lines).found == 60
    assert given == []


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "the "}, r"prompt \('', now 'the '\)"),
        ({"precision": "float16"}, r"precision \('float32', now 'float16'\)"),
        ({"truncate_dim": 4}, r"dimension \(8, now 4\)"),
        ({"max_tokens": 3}, r"max_tokens \(12, now 3\)"),
    ],
)
def test_another_option_is_refused_and_restart_begins_anew(encoder, path, finished, change, message):
    lines = many(60)
    if finished:
        write_embeddings(path, encoder, lines)
    else:
        interrupt(path, encoder, lines, 50)
    before = {name: (path.parent / name).read_bytes() for name in os.listdir(path.parent)}
    with pytest.raises(StoreError, match=message + "; --restart starts over"):
        write_embeddings(path, encoder, lines, **change)
    assert before == {name: (path.parent / name).read_bytes() for name in os.listdir(path.parent)}
    assert write_embeddings(path, encoder, lines, restart=True, **change).found == 0
    open_embeddings(path, verify=True)


@pytest.mark.parametrize("finished", [False, True])
def test_another_model_is_refused(encoder, path, tmp_path, finished):
    lines = many(60)
    other = Encoder.load(write_bundle(tmp_path / "other", max_tokens=11))
    if finished:
        write_embeddings(path, encoder, lines)
    else:
        interrupt(path, encoder, lines, 50)
    with pytest.raises(StoreError, match=r"x\.npy: .* of another model \(tiny, changed since\)"):
        write_embeddings(path, other, lines)


def test_a_copy_of_the_model_under_another_name_is_the_same_model(encoder, path, tmp_path):
    copy = Encoder.load(write_bundle(tmp_path / "copy"))
    assert copy.fingerprint == encoder.fingerprint
    assert (
        Encoder.load(write_bundle(tmp_path / "left", padding_side="left")).fingerprint != encoder.fingerprint
    )


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    "changed",
    [
        lambda lines: ["mat", *lines[1:]],
        lambda lines: ["", *lines],
        lambda lines: lines[1:],
        lambda lines: lines[:3],
        lambda lines: [line + " " if line.strip() else line for line in lines],
    ],
)
def test_other_lines_are_refused(encoder, path, finished, changed):
    lines = many(60)
    if finished:
        write_embeddings(path, encoder, lines)
    else:
        interrupt(path, encoder, lines, 50)
    with pytest.raises(StoreError, match=r"questions has changed: .*; --restart starts over"):
        write_embeddings(path, encoder, changed(lines), name="questions")
    assert write_embeddings(path, encoder, lines).found > 0


def test_more_lines_than_a_finished_file_has_are_refused(encoder, path):
    write_embeddings(path, encoder, many(60))
    with pytest.raises(StoreError, match=r"it had 60 lines when they were encoded, now 61"):
        write_embeddings(path, encoder, [*many(60), "cat"])


def test_a_file_that_says_nothing_of_itself_is_left_alone(encoder, path):
    np.save(path, np.eye(3))
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"x\.npy: has no manifest .*; --restart replaces it"):
        write_embeddings(path, encoder, many(9))
    assert path.read_bytes() == before
    write_embeddings(path, encoder, many(9), restart=True)
    assert len(np.load(path)) == 9


def test_a_restart_leaves_the_previous_file_until_the_new_one_is_whole(encoder, path):
    write_embeddings(path, encoder, many(20))
    before = path.read_bytes(), manifest_path(path).read_bytes()
    interrupt(path, encoder, many(60), 50, restart=True)
    assert (path.read_bytes(), manifest_path(path).read_bytes()) == before
    assert write_embeddings(path, encoder, many(60)).found > 0
    assert len(open_embeddings(path, verify=True).vectors) == 60


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_block_and_all_after_it_are_done_again(encoder, path, tmp_path, place):
    lines = many(60)
    write_embeddings(tmp_path / "whole.npy", encoder, lines)
    blocks = read_manifest(tmp_path / "whole.npy").blocks
    interrupt(path, encoder, lines, 55)
    start = sum(block.rows for block in blocks[:place])
    with part_path(path).open("r+b") as file:
        file.seek(128 + start * 32 + 5)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    assert write_embeddings(path, encoder, lines).found == start
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize("torn", [b"{", b'{"rows": 3}\n', b"\xff\xfe\n", b"[]\n", b'{"rows": 1, "sent'])
def test_a_torn_journal_counts_up_to_where_it_is_whole(encoder, path, tmp_path, torn):
    lines = many(60)
    write_embeddings(tmp_path / "whole.npy", encoder, lines)
    interrupt(path, encoder, lines, 50)
    kept = kept_rows(path)
    with journal_path(path).open("ab") as journal:
        journal.write(torn)
    assert write_embeddings(path, encoder, lines).found == kept
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_journal_without_its_rows_is_worth_nothing(encoder, path):
    interrupt(path, encoder, many(60), 50)
    part_path(path).unlink()
    assert write_embeddings(path, encoder, many(60)).found == 0


def test_a_kill_between_the_two_names_is_made_good(encoder, path, monkeypatch):
    lines = many(60)
    monkeypatch.setattr(
        "lightmine.store.matrix_file.sync_folder", lambda folder: (_ for _ in ()).throw(Killed)
    )
    with pytest.raises(Killed):
        write_embeddings(path, encoder, lines)
    assert path.exists()
    assert not manifest_path(path).exists()
    assert write_embeddings(path, encoder, lines).found == 60
    open_embeddings(path, verify=True)
    assert sorted(os.listdir(path.parent)) == ["x.npy", "x.npy.json"]


def test_two_writers_on_one_output_are_one_too_many(encoder, path):
    def lines():
        yield "cat"
        with pytest.raises(StoreError, match="in use: another process writes there; wait for it, or stop it"):
            write_embeddings(path, encoder, ["dog"])
        yield "mat"

    write_embeddings(path, encoder, lines())
    assert len(open_embeddings(path, verify=True).vectors) == 2


@pytest.mark.parametrize(
    ("lines", "message"), [([], "is empty"), (["", " "], "has 2 lines, all of them blank")]
)
def test_nothing_to_encode_leaves_nothing(encoder, path, lines, message):
    with pytest.raises(TextError, match=f"the input: {message}; one sentence a line is needed"):
        write_embeddings(path, encoder, lines)
    assert os.listdir(path.parent) == []


def test_input_that_fails_in_the_midst_is_named_and_what_was_done_is_kept(encoder, path):
    def lines():
        yield from many(50)
        raise OSError(5, "Input/output error")

    with pytest.raises(TextError, match="talks: cannot be read after line 50: Input/output error"):
        write_embeddings(path, encoder, lines(), name="talks")
    assert 0 < kept_rows(path) < 50


def test_places_that_cannot_be_written_are_named(encoder, tmp_path):
    with pytest.raises(OutputError, match=r"gone.x\.npy: cannot be written: No such file or directory"):
        write_embeddings(tmp_path / "gone" / "x.npy", encoder, ["cat"])
    with pytest.raises(OutputError, match="is a directory; name a file in it"):
        write_embeddings(tmp_path, encoder, ["cat"])


def test_a_full_disk_keeps_the_finished_blocks(encoder, path, monkeypatch):
    lines = many(60)
    real = os.fsync
    calls = []

    def full(number):
        calls.append(number)
        if len(calls) == 9:
            raise OSError(28, "No space left on device")
        real(number)

    monkeypatch.setattr("os.fsync", full)
    said = r"x\.npy: cannot be written: No space left on device; free some space and run the command again; "
    with pytest.raises(OutputError, match=said + r"\d+ rows are kept: the same command resumes after them$"):
        write_embeddings(path, encoder, lines)
    monkeypatch.undo()
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 4)
    assert write_embeddings(path, encoder, lines).found > 0
    open_embeddings(path, verify=True)


def test_nothing_depends_on_the_clock(encoder, path, tmp_path, monkeypatch):
    write_embeddings(tmp_path / "whole.npy", encoder, many(60))
    for name in ("time", "monotonic"):
        monkeypatch.setattr(time, name, lambda: -1e12)
    interrupt(path, encoder, many(60), 50)
    write_embeddings(path, encoder, many(60))
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert manifest_path(path).read_bytes() == (tmp_path / "whole.npy.json").read_bytes()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format_version", 2, "format version 2, and this lightmine reads 1"),
        ("rows", 10**9, "1000000000 rows, and 9 in its blocks"),
        ("columns", 0, "0 columns"),
        ("columns", True, "True columns"),
        ("dtype", "|O", r"columns of '\|O'; known are"),
        ("blocks", {}, "blocks must be a list"),
        ("blocks", [{"rows": -1, "sentences": 0, "cut": 0, "texts": "", "data": ""}], "is no block"),
        ("model", None, "model must be a text"),
    ],
)
def test_manifests_that_cannot_be_are_refused(encoder, path, field, value, message):
    write_embeddings(path, encoder, many(9))
    fields = json.loads(manifest_path(path).read_text())
    manifest_path(path).write_text(json.dumps(fields | {field: value}))
    with pytest.raises(StoreError, match=rf"x\.npy\.json: no manifest of embeddings: .*{message}"):
        open_embeddings(path)


@given(st.binary(max_size=200))
def test_no_bytes_make_a_manifest_crash(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("odd") / "x.npy"
    manifest_path(path).write_bytes(data)
    with pytest.raises(StoreError):
        read_manifest(path)


def test_fields_from_the_future_are_kept(encoder, path):
    write_embeddings(path, encoder, many(9))
    fields = json.loads(manifest_path(path).read_text()) | {"colour": "red"}
    manifest = StoreManifest.parse(fields)
    assert manifest.extra == {"colour": "red"}
    assert StoreManifest.parse(json.loads(manifest.json())) == manifest
    assert manifest.header.dtype in DTYPES


def test_a_manifest_beside_another_matrix_is_refused(encoder, path):
    write_embeddings(path, encoder, many(9))
    np.save(path, np.zeros((9, 9), np.float32))
    with pytest.raises(
        StoreError, match=r"is not the file that x\.npy\.json describes \(9 rows of 8 columns\)"
    ):
        open_embeddings(path)


def test_damage_is_found_when_it_is_looked_for(encoder, path):
    write_embeddings(path, encoder, many(60))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    open_embeddings(path)
    with pytest.raises(StoreError, match=r"x\.npy: rows \d+ to 59 are damaged"):
        open_embeddings(path, verify=True)
