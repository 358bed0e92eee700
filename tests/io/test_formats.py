"""Every format in every compression: what is written is read again."""

import bz2
import gzip
import io
import json
import lzma
import sys
import tracemalloc

import hypothesis.strategies as st
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given

from lightmine.errors import ArgumentError, MissingExtraError, OutputError, TextError
from lightmine.io.escapes import ESCAPES, unescape
from lightmine.io.formats import Kind, ReadOptions, kind_of
from lightmine.io.limits import ReadLimits
from lightmine.io.output import open_binary, open_text
from lightmine.io.pair_writer import format_of, write_pairs
from lightmine.io.sentences import read_sentences, stream_sentences

PACKED = ["", ".gz", ".bz2", ".xz", ".zst"]
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
visible = text.filter(str.strip)
# A plain line that is longer than the sample by which other formats and wrong encodings are detected.
START = "word " * 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("name", ["p.tsv", "p.csv", "p.jsonl", "p.parquet"])
@given(texts=st.lists(text, max_size=8))
def test_pairs_that_are_written_are_read_again(folder, name, packed, texts):
    path = str(folder / (name + packed))
    columns = {"score": np.linspace(0, 1, len(texts), dtype=np.float32), "text": texts,
               "lines": [[1, at] for at in range(len(texts))]}  # fmt: skip
    with open_text(path) as stream:
        write_pairs(stream, columns, format=name[2:])
    read = read_sentences(path, ReadOptions(text_column="text"))
    # In TSV a line end is an escape, which is not blank.
    cells = [one.translate(ESCAPES) for one in texts] if name == "p.tsv" else texts
    expected = [(one, row) for row, one in enumerate(texts) if cells[row].strip()]
    found = [unescape(one) for one in read.texts] if name == "p.tsv" else read.texts
    assert list(zip(found, read.places(), strict=True)) == expected
    assert read.total == len(texts)


@pytest.mark.parametrize("packed", PACKED)
@given(texts=st.lists(text.filter(lambda one: "\n" not in one and not one.endswith("\r")), max_size=8))
def test_lines_that_are_written_are_read_again(folder, packed, texts):
    path, texts = str(folder / ("lines.txt" + packed)), [START, *texts]
    with open_text(path) as stream:
        stream.write("".join(one + "\n" for one in texts))
    read = read_sentences(path)
    assert (read.total, read.texts) == (len(texts), [one for one in texts if one.strip()])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32", "utf-8-sig", "gb18030"])
@given(texts=st.lists(visible.filter(lambda one: "\n" not in one and not one.endswith("\r")), max_size=8))
def test_every_encoding_of_unicode_gives_the_lines_back(folder, encoding, texts):
    path = folder / f"any.{encoding}"
    texts = [START, *texts]
    path.write_bytes("\r\n".join(texts).encode(encoding))
    assert read_sentences(path, ReadOptions(encoding=encoding)).texts == [one for one in texts if one.strip()]


def test_a_byte_order_mark_is_swapped_only_where_characters_have_several_bytes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufffeone\n".encode())
    assert read_sentences(path).texts == ["\ufffeone"]
    path.write_bytes("\ufeffone\n".encode("utf-16-le"))
    with pytest.raises(TextError, match="its byte order mark is not that of UTF-16-BE; leave -le or -be out"):
        read_sentences(path, ReadOptions(encoding="utf-16-be"))


def test_the_name_says_what_a_file_is():
    kinds = {
        "a.txt": ("txt", None), "corpus.de": ("txt", None), "-": ("txt", None), "a": ("txt", None),
        "b.TSV.GZ": ("tsv", "gz"), "a.b.csv": ("csv", None), "x.ndjson.zst": ("jsonl", "zst"),
        "d.jsonl/part.parquet": ("parquet", None), "a.gz": ("txt", "gz"), "x.tab.bz2": ("tsv", "bz2"),
        "https://example.org/a.jsonl.xz?raw=1": ("jsonl", "xz"), "s3://b/a.csv": ("csv", None),
        "a.json.gz": ("json", "gz"),
    }  # fmt: skip
    assert {name: kind_of(name) for name in kinds} == {name: Kind(*kind) for name, kind in kinds.items()}
    for name in ("a.zip", "a.tar.gz", "b.feather", "c.xlsx"):
        with pytest.raises(
            ArgumentError, match=r"is not read; make a file of a sentence a line, or JSONL, of it"
        ):
            kind_of(name)


def test_the_format_can_be_asked_for_instead(folder):
    (folder / "odd.zip").write_text('{"text": "a"}\n')
    assert read_sentences(folder / "odd.zip", ReadOptions(format="jsonl")).texts == ["a"]
    (folder / "odd.bin").write_bytes(bz2.compress(b"a,b\n"))
    assert read_sentences(folder / "odd.bin", ReadOptions(format="csv.bz2", text_column=2)).texts == ["b"]
    (folder / "odd.gz").write_bytes(gzip.compress(b"x,y\n"))
    assert read_sentences(folder / "odd.gz", ReadOptions(format="csv", text_column=2)).texts == ["y"]


@pytest.mark.parametrize("path", ["a.xml", "a", "a.txt", "a.json", "a.gz"])
def test_pairs_go_to_formats_that_have_columns(path):
    with pytest.raises(ArgumentError, match=r"name it \.tsv or \.jsonl .* or choose with --format"):
        format_of(path)


def parquet(path, **columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=3)
    return path


def test_parquet_counts_rows_and_leaves_out_nulls(folder):
    path = parquet(folder / "a.parquet", id=[1, 2, 3, 4, 5], text=["a", None, " ", "d\u2028", "a"])
    read = read_sentences(path, ReadOptions(id_column="id"))
    assert (read.texts, read.lines, read.ids, read.total) == (
        ["a", "d\u2028", "a"],
        [1, 4, 5],
        list("145"),
        5,
    )
    assert read_sentences(path, ReadOptions(text_column=2)).texts == read.texts
    packed = folder / "a.parquet.xz"
    packed.write_bytes(lzma.compress(path.read_bytes()))
    assert read_sentences(packed).texts == read.texts


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "binary", "dictionary"])
def test_parquet_of_every_type_of_text(folder, kind):
    texts = pyarrow.array(["één", "b", None, "één"])
    texts = texts.dictionary_encode() if kind == "dictionary" else texts.cast(getattr(pyarrow, kind)())
    assert read_sentences(parquet(folder / "kind.parquet", only=texts)).texts == ["één", "b", "één"]


@pytest.mark.parametrize(
    ("columns", "reading", "message"),
    [
        ({"a": ["x"], "b": ["y"]}, {}, "has no column 'text'; it has 'a', 'b': name one with --text-column"),
        ({"a": ["x"]}, {"text_column": 2}, "has 1 columns, and no column 2"),
        ({"text": [1.5]}, {}, "column 'text' is of double, and text is needed"),
        ({"text": [["a"]]}, {}, "column 'text' is of list<.*>, and text is needed"),
        (
            {"text": ["a"], "id": [1.5]},
            {"id_column": "id"},
            "'id' is of double, and an id is text or a whole",
        ),
        ({"text": [b"a", b"\xff"]}, {}, "row 2, byte 1: 0xff is not UTF-8; read it with --errors replace"),
    ],
)
def test_parquet_of_other_things_is_refused(folder, columns, reading, message):
    with pytest.raises(TextError, match=message):
        read_sentences(parquet(folder / "bad.parquet", **columns), ReadOptions(**reading))


def test_bytes_that_are_no_text_are_replaced_when_asked_and_counted(folder):
    path = folder / "replace.txt"
    path.write_bytes(b"a\xffb\n" * 3 + "\ufffd\xe9\n".encode() + b"\xe2\x80")
    read = read_sentences(path, ReadOptions(errors="replace"))
    assert (read.texts, read.replaced) == (["a\ufffdb"] * 3 + ["\ufffdé", "\ufffd"], 4)
    path = parquet(folder / "replace.parquet", text=[b"a\xff\xff", b"b"])
    read = read_sentences(path, ReadOptions(errors="replace"))
    assert (read.texts, read.replaced) == (["a\ufffd\ufffd", "b"], 2)


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (
            "é".encode("utf-16"),
            "utf-8",
            "line 1, byte 1 of .* it starts as utf-16 does: say --encoding utf-16",
        ),
        (
            gzip.compress(b"a", mtime=0),
            "utf-8",
            "it starts as gzip does: say --input-format txt.gz, or name it .gz",
        ),
        (b"PAR1\xff", "utf-8", "it starts as Parquet does: say --input-format parquet"),
        (
            b"caf\xe9",
            "utf-8",
            "0xe9 is not UTF-8; name its encoding with --encoding, or read it with --errors",
        ),
        (b"a\nb\x81\n", "cp1252", "line 2, byte 2 of the line: 0x81 is not CP1252"),
        ("a\nbc".encode("utf-16") + b"d", "utf-16", "line 2, byte 11 of the file: 0x64 is not UTF-16"),
        (b"a\nb", "utf-16", "is not UTF-16: .* say --encoding utf-16-le or -be"),
        (b"ab\n\x81", "shift_jis", "line 2, byte 1 of the line: 0x81 is not SHIFT_JIS"),
    ],
)
def test_what_is_not_of_the_encoding_is_named_and_help_given(folder, data, encoding, message):
    (folder / "enc.txt").write_bytes(data)
    with pytest.raises(TextError, match=message):
        read_sentences(folder / "enc.txt", ReadOptions(encoding=encoding))


def test_errors_far_into_a_file_are_named_by_line_and_byte(folder):
    line = "ééééé\n".encode()
    (folder / "far.txt").write_bytes(line * 300_000 + b"abc\xffd\n")
    with pytest.raises(TextError, match="line 300001, byte 4 of the line: 0xff"):
        read_sentences(folder / "far.txt")
    (folder / "cut.txt").write_bytes(b"a" * ((1 << 20) - 1) + b"\xe2\x80x")  # cut by the end of a chunk
    with pytest.raises(TextError, match=f"line 1, byte {1 << 20} of the line: 0xe2"):
        read_sentences(folder / "cut.txt")


def test_blocks_are_bounded_and_add_up(folder):
    lines = [f"line {at}" if at % 7 else "" for at in range(400_000)]
    (folder / "long.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    stream = stream_sentences(folder / "long.txt.gz")
    texts, rows, totals = [], [], []
    for block in stream:
        assert sum(map(len, block.texts)) < 1 << 21
        texts += block.texts
        rows += block.rows
        totals.append(block.total)
    assert len(totals) > 3
    assert totals == sorted(totals)
    assert stream.total == totals[-1] == len(lines)
    assert texts == [line for line in lines if line]
    assert [lines[row] for row in rows] == texts


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(folder):
    peaks = []
    for size in (3_000, 20_000):
        path = folder / "grow.jsonl.gz"
        path.write_bytes(gzip.compress(b'{"text": "%s"}\n' % (b"some words" * 90) * size, 1))
        tracemalloc.start()
        assert (
            sum(len(block.texts) for block in stream_sentences(path, limits=ReadLimits(ratio=1000))) == size
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (2 << 20) < 30 << 20  # of 16 MB more text


def test_fsspec_reads_and_writes(folder):
    import fsspec

    for url in (f"file://{folder}/there.jsonl.gz", "memory://there.jsonl.gz"):
        with open_text(url) as stream:
            write_pairs(stream, {"text": ["één"]}, format=format_of(url))
        assert gzip.decompress(fsspec.open(url).open().read()) == '{"text": "één"}\n'.encode()
        assert read_sentences(url).texts == ["één"]
    with fsspec.open("memory://t.parquet", "wb") as file:
        pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), file)
    assert read_sentences("memory://t.parquet").texts == ["a"]


def write_and_fail(url):
    with open_binary(url) as stream:
        stream.write(b"half")
        raise ZeroDivisionError


def test_a_remote_file_appears_whole_or_not_at_all():
    with pytest.raises(ZeroDivisionError):
        write_and_fail("memory://never.txt")
    with pytest.raises(TextError, match=r"memory://never\.txt: no such file"):
        read_sentences("memory://never.txt")


def test_a_remote_file_that_cannot_be_read_is_one_line():
    with pytest.raises(TextError, match="foo://a: cannot be opened: ValueError: Protocol not known: foo"):
        read_sentences("foo://a")
    with pytest.raises((TextError, OutputError), match="foo://a: cannot be opened"):
        open_binary("foo://a").__enter__()


@pytest.mark.parametrize(
    ("path", "module", "message"),
    [
        ("a.parquet", "pyarrow", r"a\.parquet: Parquet needs pyarrow: pip install 'pyarrow>=18'"),
        ("a.txt.zst", "zstandard", r"\.zst needs the package zstandard: pip install 'zstandard>=0.22'"),
        ("memory://a", "fsspec", r"memory:// needs fsspec: pip install 'fsspec>=2024.6'"),
        ("s3://b/a", "s3fs", r"s3:// needs s3fs: pip install 'fsspec>=2024.6' s3fs"),
        ("gs://b/a", "gcsfs", r"gs:// needs gcsfs: pip install 'fsspec>=2024.6' gcsfs"),
        (
            "https://example.org/a",
            "aiohttp",
            r"https:// needs aiohttp: pip install 'fsspec>=2024.6' aio",
        ),
    ],
)
def test_a_missing_extra_is_named_with_its_install_line(folder, monkeypatch, path, module, message):
    if "://" not in path:
        (folder / path).touch()
        path = folder / path
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    with pytest.raises(MissingExtraError, match=message):
        read_sentences(path)


def test_output_that_could_not_be_written_is_refused_before_the_work(folder, monkeypatch):
    from lightmine.cli._outputs import output_format

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"Parquet needs pyarrow: pip install 'pyarrow>=18'"):
        output_format(str(folder / "a.parquet"), None)


def test_standard_input_is_of_any_format(monkeypatch):
    for data, reading in (
        (json.dumps({"text": "a"}).encode(), ReadOptions(format="jsonl")),
        (bz2.compress(b"a\n"), ReadOptions(format="txt.bz2")),
        ("a".encode("utf-16"), ReadOptions(encoding="utf-16")),
        (parquet_bytes(text=["a"]), ReadOptions(format="parquet")),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert read_sentences("-", reading).texts == ["a"]


def parquet_bytes(**columns):
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()
