"""Zstandard with the module of Python 3.14, and before that with backports.zstd."""

import importlib
import random
import sys
import types

import pytest

from lightmine.errors import TextError
from lightmine.io import compression
from lightmine.io.limits import ReadLimits
from lightmine.io.output import open_binary
from lightmine.io.sentences import read_sentences, stream_sentences

RANDOM = random.Random(0)
LINES = "".join(f"line {RANDOM.random()} of text\n" for _ in range(60_000)).encode()


@pytest.fixture
def standard(monkeypatch):
    """Reading and writing go through the library of Python 3.14, whatever runs the tests."""
    if sys.version_info < (3, 14):
        module = importlib.import_module("backports.zstd")
        monkeypatch.setitem(sys.modules, "compression", types.ModuleType("compression"))
        monkeypatch.setitem(sys.modules, "compression.zstd", module)
        monkeypatch.setattr(compression, "sys", types.SimpleNamespace(version_info=(3, 14)))
    assert compression._zstandard("x")[1]


def write(path, data):
    with open_binary(str(path)) as stream:
        stream.write(data)
    return path


def refused(path, **options):
    with pytest.raises(TextError) as error:
        for _ in stream_sentences(path, **options):
            pass
    assert str(error.value).isprintable()
    return str(error.value)


def test_what_either_writes_the_other_reads_and_twice_is_the_same(tmp_path, standard, monkeypatch):
    ours = write(tmp_path / "a.txt.zst", LINES)
    again = write(tmp_path / "b.txt.zst", LINES)
    assert ours.read_bytes() == again.read_bytes()
    texts = LINES.decode().splitlines()
    assert read_sentences(ours).texts == texts
    if sys.version_info < (3, 14):
        monkeypatch.undo()
        assert not compression._zstandard("x")[1]
        assert read_sentences(ours).texts == texts
        other = write(tmp_path / "c.txt.zst", LINES)
        importlib.import_module("zstandard")
        monkeypatch.setattr(compression, "sys", types.SimpleNamespace(version_info=(3, 14)))
        monkeypatch.setitem(sys.modules, "compression.zstd", importlib.import_module("backports.zstd"))
        assert read_sentences(other).texts == texts


def test_nothing_that_is_damaged_passes_for_whole(tmp_path, standard):
    path = write(tmp_path / "a.txt.zst", LINES)
    whole = path.read_bytes()
    for length in (1, 3, 5, 9, len(whole) // 2, len(whole) - 4, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "a.txt.zst: not a whole Zstandard file" in refused(path)
    path.write_bytes(whole + b"rubbish")
    assert "not a whole Zstandard file" in refused(path)
    # A checksum is written: a turned bit is found wherever it is.
    changed = bytearray(whole)
    changed[-1] ^= 1
    path.write_bytes(changed)
    assert "not a whole Zstandard file" in refused(path)


def test_members_after_one_another_are_one_file(tmp_path, standard):
    path = write(tmp_path / "a.txt.zst", LINES)
    path.write_bytes(path.read_bytes() * 3)
    assert read_sentences(path).total == 180_000


@pytest.mark.slow
def test_bombs_and_windows_are_refused(tmp_path, standard):
    path = write(tmp_path / "a.txt.zst", bytes(300 << 20))
    assert path.stat().st_size < 100_000
    assert "unpacks to over 200 times its size" in refused(path)
    assert "line 1 is longer than" in refused(path, limits=ReadLimits(ratio=1e9, line=1000))
    # A frame that asks for a window of 2 GiB.
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00")
    assert "not a whole Zstandard file" in refused(path)
