import gzip
import io
import json
import os
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine.errors import ArgumentError, OutputError
from lightmine.io.output import open_binary, open_text
from lightmine.io.pair_writer import display_width, fit, format_of, write_pairs


def written(columns, kind):
    stream = io.StringIO(newline="")
    write_pairs(stream, columns, format=kind)
    return stream.getvalue()


def unescape(cell):
    parts = cell.split("\\\\")
    return "\\".join(p.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r") for p in parts)


texts = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1)


@given(texts)
def test_tsv_gives_every_text_back(values):
    header, *rows = (
        written({"n": list(range(len(values))), "text": values}, "tsv").removesuffix("\n").split("\n")
    )
    assert header == "n\ttext"
    assert [unescape(row.split("\t")[1]) for row in rows] == values


@given(texts)
def test_jsonl_gives_every_text_back(values):
    lines = written({"text": values, "lines": [[1, 2]] * len(values)}, "jsonl").removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == [{"text": v, "lines": [1, 2]} for v in values]


@given(st.floats(-2, 2, width=32))
def test_written_scores_are_the_scores(score):
    values = np.array([score], np.float32)
    assert np.float32(written({"s": values}, "tsv").split()[1]) == values[0]
    assert np.float32(json.loads(written({"s": values}, "jsonl"))["s"]) == values[0]


def test_a_table_aligns_wide_characters_and_cuts_long_texts(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    columns = {
        "score": np.array([1, 0.5], np.float32),
        "a": ["你好世界", "x" * 200],
        "b": ["short", "\x1b[31mred"],
    }
    rows = written(columns, "table").splitlines()
    assert rows[0].split() == ["score", "a", "b"]
    assert max(map(display_width, rows)) <= 50
    assert rows[2].split()[1].endswith("…")
    assert "\x1b" not in rows[2]
    assert display_width(rows[1][: rows[1].index("short")]) == rows[0].index("b")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 30), st.booleans())
def test_fitted_text_has_exactly_the_width(text, width, left):
    assert display_width(fit(text, width, left)) == width


@pytest.mark.parametrize(
    ("path", "kind"), [("a.tsv", "tsv"), ("a.jsonl", "jsonl"), ("a.tsv.gz", "tsv"), ("b.c.jsonl.gz", "jsonl")]
)
def test_the_ending_says_the_format(path, kind):
    assert format_of(path) == kind


def test_an_ending_that_says_nothing_is_refused():
    with pytest.raises(
        ArgumentError, match=r"pairs\.xlsx: name it \.tsv or \.jsonl .* or choose with --format"
    ):
        format_of("pairs.xlsx")


def write_and_fail(path, error):
    with open_text(str(path)) as stream:
        stream.write("half")
        raise error


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.tsv"
    path.write_text("previous")
    with pytest.raises(ZeroDivisionError):
        write_and_fail(path, ZeroDivisionError())
    assert path.read_text() == "previous"
    with open_text(str(path)) as stream:
        stream.write("zweite\r\n")
        assert path.read_text() == "previous"
    assert path.read_bytes() == b"zweite\r\n"
    assert os.listdir(tmp_path) == ["out.tsv"]


def test_gzip_output_has_the_same_bytes_every_time(tmp_path):
    for name in ("a.gz", "b.gz"):
        with open_text(str(tmp_path / name)) as stream:
            stream.write("één\n")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == "één\n".encode()


def test_where_nothing_can_be_written_the_error_comes_at_once(tmp_path):
    with pytest.raises(OutputError, match=r"gone.out\.tsv: cannot be written: No such file or directory"):
        open_binary(str(tmp_path / "gone" / "out.tsv")).__enter__()
    with pytest.raises(OutputError, match="is a directory; name a file in it"):
        open_binary(str(tmp_path)).__enter__()


def test_links_stay_links_and_pipes_are_written_to(tmp_path):
    (tmp_path / "link.tsv").symlink_to("real.tsv")
    with open_text(str(tmp_path / "link.tsv")) as stream:
        stream.write("through")
    assert (tmp_path / "real.tsv").read_text() == "through"
    assert (tmp_path / "link.tsv").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with open_text(str(tmp_path / "pipe")) as stream:
        stream.write("flow")
    assert os.read(reader, 9) == b"flow"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_path_without_a_file_name_is_refused(path):
    with pytest.raises(OutputError, match="is a directory; name a file in it"):
        open_binary(path).__enter__()


def test_a_full_disk_leaves_the_previous_output(tmp_path):
    path = tmp_path / "out.tsv"
    path.write_text("previous")
    with pytest.raises(OutputError, match=r"out\.tsv: cannot be written: No space left"):
        write_and_fail(path, OSError(28, "No space left on device"))
    assert path.read_text() == "previous"


def test_standard_output_stays_open_and_is_utf8(monkeypatch):
    binary = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(binary, encoding="ascii"))
    with open_text("-") as stream:
        stream.write("één\n")
    assert binary.getvalue() == "één\n".encode()
    print("still open")
