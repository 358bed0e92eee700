"""Broken files, and files made to use up memory: refused on one line, within the limits."""

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import zlib

import pyarrow
import pyarrow.parquet
import pytest

from lightmine.errors import ArgumentError, TextError
from lightmine.io.formats import ReadOptions
from lightmine.io.limits import ReadLimits
from lightmine.io.output import open_binary
from lightmine.io.sentences import read_sentences, stream_sentences

KINDS = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "Zstandard"}
TEXT = "".join(f"line {at * 7919 % 10_007} of text\n" for at in range(20_000)).encode()


@pytest.fixture
def packed(tmp_path):
    def packed(kind, data=TEXT):
        path = tmp_path / f"a.txt.{kind}"
        with open_binary(str(path)) as stream:
            stream.write(data)
        return path

    return packed


def refused(path, **options):
    with pytest.raises(TextError) as error:
        for _ in stream_sentences(path, **options):
            pass
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compressed_file_that_is_cut_short_is_never_taken_for_a_shorter_one(packed, kind):
    path = packed(kind)
    whole = path.read_bytes()
    for length in (1, 2, 5, 9, 12, 30, len(whole) // 2, len(whole) - 5, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert f"a.txt.{kind}: not a whole {KINDS[kind]} file" in refused(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compressed_file_that_is_damaged_or_another_is_named(packed, kind):
    path = packed(kind)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0x55
    path.write_bytes(whole)
    message = refused(path)
    assert f"not a whole {KINDS[kind]} file" in message or "is not UTF-8" in message
    path.write_bytes(b"plain text\n")
    assert "it does not start as one does" in refused(path)


@pytest.mark.parametrize("kind", KINDS)
def test_members_after_one_another_are_one_file_and_rubbish_after_them_is_refused(packed, kind):
    path = packed(kind, b"one\ntw")
    first = path.read_bytes()
    second = packed(kind, b"o\nthree").read_bytes()
    path.write_bytes(first + second)
    assert read_sentences(path).texts == ["one", "two", "three"]
    path.write_bytes(first + b"rubbish")
    assert f"not a whole {KINDS[kind]} file" in refused(path)
    if kind in ("gz", "xz"):
        path.write_bytes(first + bytes(8) + second + bytes(4))
        assert read_sentences(path).texts == ["one", "two", "three"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_after_a_bounded_part_of_it(tmp_path, kind):
    path = tmp_path / f"bomb.txt.{kind}"
    with open_binary(str(path)) as stream:
        for _ in range(120):
            stream.write(b"x" * 1048575 + b"\n")
    assert path.stat().st_size < 1 << 20
    stream = stream_sentences(path)
    with pytest.raises(TextError, match=r"unpacks to over 200 times its size, .* set LIGHTMINE_MAX_RATIO"):
        for _ in stream:
            pass
    assert stream.total < 80
    assert "unpacks to over 0.1 GiB; if you trust" in refused(path, limits=ReadLimits(ratio=1e9, gib=0.1))
    assert sum(len(block.texts) for block in stream_sentences(path, limits=ReadLimits(ratio=1e9))) == 120


def test_a_bomb_of_xz_cannot_ask_for_a_dictionary_of_gigabytes(tmp_path):
    path = tmp_path / "a.txt.xz"
    small = lzma.compress(b"a\n", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    # The dictionary's size is a byte of the block's header, whose checksum follows.
    header = bytearray(small[12:24])
    header[4] = 37  # 768 MiB
    header[8:12] = zlib.crc32(header[:8]).to_bytes(4, "little")
    path.write_bytes(small[:12] + bytes(header) + small[24:])
    assert "not a whole xz file: Memory usage limit exceeded" in refused(path)


def test_limits_come_from_the_environment(monkeypatch, tmp_path):
    (tmp_path / "a.txt").write_text("short\n" + "x" * 1001 + "\n")
    monkeypatch.setenv("LIGHTMINE_MAX_LINE", "1000")
    assert "a.txt: line 2 is longer than 1,000 characters; is it text" in refused(tmp_path / "a.txt")
    monkeypatch.setenv("LIGHTMINE_MAX_LINE", "1e4")
    assert read_sentences(tmp_path / "a.txt").total == 2
    for bad in ("many", "0", "-1", "nan"):
        monkeypatch.setenv("LIGHTMINE_MAX_LINE", bad)
        with pytest.raises(ArgumentError, match=f"LIGHTMINE_MAX_LINE is a number over 0, not '{bad}'"):
            read_sentences(tmp_path / "a.txt")


@pytest.mark.parametrize("end", [b"", b"\n", b"\nmore\n"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(monkeypatch, tmp_path, end):
    class Endless(io.RawIOBase):
        left = 1 << 40

        def read(self, size=-1):
            type(self).left -= size
            return b"x" * size if self.left > 0 else b""

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO())))
    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": Endless()}))
    assert "standard input: line 1 is longer than 67,108,864 characters" in refused("-")
    assert (1 << 40) - Endless.left < 80 << 20
    (tmp_path / "a.txt").write_bytes(b"a\n" + b"x" * 2000 + end)
    assert "line 2 is longer than 1,500" in refused(tmp_path / "a.txt", limits=ReadLimits(line=1500))


def test_a_csv_record_of_many_lines_has_the_same_limit(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'a\n"' + b"line\n" * 1000)
    assert "line 2 is longer than 1,500" in refused(tmp_path / "a.csv", limits=ReadLimits(line=1500))
    big = "x" * 300_000  # more than the csv module takes
    (tmp_path / "a.csv").write_text(f'"{big}\0"\n')
    assert read_sentences(tmp_path / "a.csv").texts == [big + "\0"]


def test_quotes_by_the_thousand_take_time_by_the_thousand(tmp_path):
    for text in ('"' + '""' * 100_000 + '"\n', '"",' * 100_000 + "x\n", '"\n' * 100_000):
        (tmp_path / "a.csv").write_text(text)
        read_sentences(tmp_path / "a.csv", ReadOptions(text_column=1))


@pytest.mark.parametrize("cut", [0, 1, 4, 8, 100, 400])
def test_parquet_that_is_none_is_one_line(tmp_path, cut):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"]}), path)
    path.write_bytes(path.read_bytes()[:cut])
    assert "a.parquet: not Parquet that can be read: " in refused(path)
    path.write_bytes(bytes(cut) + b"PAR1" + bytes([255]) * 4 + b"PAR1")
    assert "a.parquet: not Parquet that can be read: " in refused(path)


@pytest.mark.slow
def test_a_bomb_of_parquet_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    repeated = pyarrow.array(["x" * 100_000] * 1500)
    for texts in (repeated, repeated.dictionary_encode(), [f"{at}" + "y" * 1_000_000 for at in range(70)]):
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path, compression="zstd")
        assert path.stat().st_size < 300_000
        assert "unpacks to over 200 times its size" in refused(path)
        assert "line 1 is longer than 1,000" in refused(path, limits=ReadLimits(ratio=1e9, line=1000))


PEAK = """
import resource, sys
from lightmine.errors import TextError
from lightmine.io.formats import ReadOptions
from lightmine.io.sentences import stream_sentences
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    for _ in stream_sentences(sys.argv[1], ReadOptions(text_column=sys.argv[2])):
        pass
except TextError as error:
    print(error)
import pyarrow.parquet, pyarrow.compute
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.slow
@pytest.mark.parametrize("column", ["text", "struct.text"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_a_bomb_of_parquet_is_refused_before_it_takes_memory(tmp_path, dictionary, column):
    path = tmp_path / "a.parquet"
    one = pyarrow.array(["x" * (1 << 20)])
    texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 1024, pyarrow.int32()), one)
    texts = texts if dictionary else texts[:300].dictionary_decode()
    struct = pyarrow.StructArray.from_arrays([texts], ["text"])
    table = pyarrow.table({"text": texts} if column == "text" else {"struct": struct})
    pyarrow.parquet.write_table(table, path, compression="zstd", use_dictionary=dictionary)
    assert path.stat().st_size < 100_000
    done = subprocess.run(
        [sys.executable, "-c", PEAK, path, column], capture_output=True, text=True, check=True
    )
    said, peak = done.stdout.splitlines()
    assert "unpacks to over 200 times its size" in said
    assert int(peak) < 200  # MiB, pyarrow itself among them; the texts are 1024 and 300


def test_a_row_group_of_any_size_and_density_gives_its_texts(tmp_path, monkeypatch):
    texts = [f"{at % 9} of nine" if at % 50 else None for at in range(5000)]
    ids = pyarrow.array([at % 7 for at in range(5000)]).dictionary_encode()
    table = pyarrow.table({"text": texts, "id": ids})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2000)
    read = []
    for small in (0, 1 << 30):
        monkeypatch.setattr("lightmine.io.parquet.SMALL", small)
        read.append(read_sentences(tmp_path / "a.parquet", ReadOptions(id_column="id")))
    assert read[0] == read[1]
    assert read[0].texts == [text for text in texts if text]
    assert read[0].ids == [str(at % 7) for at in range(5000) if at % 50]


def test_read_errors_in_mid_file_are_one_line(monkeypatch):
    class Failing:
        def __init__(self):
            self.pieces = [b"one\ntwo", OSError(5, "Input/output error")]

        def read(self, _):
            piece = self.pieces.pop(0)
            if isinstance(piece, OSError):
                raise piece
            return piece

    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": Failing()}))
    assert refused("-") == "standard input: cannot be read: Input/output error"


def test_gzip_from_other_writers_is_read(tmp_path):
    # A name, a comment and a header's checksum, as gzip may have and Python does not write.
    body = gzip.compress(b"one\n", mtime=0)[10:]
    header = b"\x1f\x8b\x08\x1a\0\0\0\0\0\3name\0comment\0"
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    (tmp_path / "a.gz").write_bytes(header + body)
    assert read_sentences(tmp_path / "a.gz").texts == ["one"]
    (tmp_path / "b.bz2").write_bytes(bz2.compress(b""))
    assert read_sentences(tmp_path / "b.bz2").total == 0
