"""Files of every kind as they are given to the commands."""

import csv
import json
import lzma

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from tests.command_line import ENGLISH, GERMAN, rows, run

__all__ = ["run"]


@pytest.fixture
def sides(tmp_path):
    """The examples as JSONL and as Parquet, with ids."""
    texts = [path.read_text().splitlines() for path in (ENGLISH, GERMAN)]
    english = "".join(json.dumps({"n": at, "en": text}) + "\n" for at, text in enumerate(texts[0]))
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(english.encode()))
    german = {"n": [f"de-{at}" for at in range(len(texts[1]))], "de": texts[1]}
    pyarrow.parquet.write_table(pyarrow.table(german), tmp_path / "b.parquet")
    return tmp_path


def test_two_formats_with_a_column_each_give_the_pairs_of_plain_text(run, sides):
    options = ["--text-field", "en", "--text-column", "de", "--id-field", "n", "--threshold", "none"]
    status, out, err = run("bitext", sides / "a.jsonl.xz", sides / "b.parquet", *options)
    _, plain, _ = run("bitext", ENGLISH, GERMAN, "-q", "--threshold", "none")
    assert status == 0
    assert [line.partition(":")[0] for line in err.splitlines()] == ["lightmine", "lightmine"]
    assert "the source has 26 sentences: among so few" in err
    found = rows(out)
    assert all(int(r["source_ids"]) == int(r["source_lines"]) - 1 for r in found)
    assert [{k: v for k, v in r.items() if "ids" not in k} for r in found] == rows(plain)


@pytest.mark.parametrize("ending", ["csv", "csv.bz2", "parquet", "jsonl.zst"])
def test_pairs_are_the_same_in_every_format(run, sides, ending):
    _, plain, _ = run("paraphrase", ENGLISH, "-q", "--threshold", 0.3)
    out = sides / f"pairs.{ending}"
    assert run("paraphrase", ENGLISH, "-q", "--threshold", 0.3, "-o", out)[:2] == (0, "")
    from lightmine.io.formats import ReadOptions
    from lightmine.io.sentences import read_sentences

    for column in ("left_text", "right_text"):
        assert read_sentences(out, ReadOptions(text_column=column)).texts == [r[column] for r in rows(plain)]


def test_what_was_left_out_or_replaced_is_said(run, tmp_path):
    path = tmp_path / "q.csv"
    path.write_bytes(b"\xef\xbb\xbfid,q\n1,caf\xe9 noir\n2,\n3,black coffee\n")
    status, out, err = run(
        "paraphrase", path, "--text-column", "q", "--errors", "replace", "--threshold", "none"
    )
    assert status == 0
    assert [(r["left_lines"], r["right_lines"]) for r in rows(out)] == [("2", "4")]
    assert err.splitlines()[:3] == [
        f"lightmine: {path}: a byte order mark at its start is left out",
        f"lightmine: {path}: 1 times bytes that are not UTF-8 were replaced by U+FFFD",
        f"lightmine: {path}: 1 records without a sentence left out; the others keep their numbers",
    ]


def test_standard_input_of_another_format_and_encoding(run):
    data = 'q\ta\n"Hello"\tx\nHello there\ty\n'.encode("utf-16")
    options = ["--input-format", "tsv", "--encoding", "utf-16", "--text-column", "q", "-q"]
    options += ["--threshold", "none"]
    status, out, _ = run("paraphrase", "-", *options, stdin=data)
    assert status == 0
    assert [(r["left_text"], r["right_text"]) for r in rows(out)] == [('"Hello"', "Hello there")]


def test_an_aligned_corpus_goes_by_records_not_by_lines(run, sides):
    with open(sides / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([["en"], ["One\ntwo."], ["Three."]])
    (sides / "b.txt").write_text("Eins zwei.\nDrei.\n")
    command = ["bitext", sides / "a.csv", sides / "b.txt", "--text-column", "en", "--text-column", "1"]
    status, out, _ = run(*command, "--score-only")
    assert status == 0
    assert [(r["source_lines"], r["target_lines"]) for r in rows(out)] == [("2", "1"), ("4", "2")]


def test_rows_of_vectors_are_records(run, sides):
    (sides / "a.csv").write_text('en\n"One\ntwo."\n\nThree.\n')
    status, _, _ = run("encode", sides / "a.csv", "--text-column", "en", "-o", sides / "x.npy", "-q")
    x = np.load(sides / "x.npy")
    assert status == 0
    assert x.any(axis=1).tolist() == [True, False, True]


def test_measuring_takes_the_same_files(run, sides):
    columns = ["--text-field", "en", "--text-field", "de", "--json"]
    lines = run("evaluate", "retrieval", ENGLISH, ENGLISH, "--json")[1]
    (sides / "a.jsonl").write_bytes(lzma.decompress((sides / "a.jsonl.xz").read_bytes()))
    same = run(
        "evaluate", "retrieval", sides / "a.jsonl", sides / "a.jsonl.xz", "--text-field", "en", "--json"
    )
    assert same[1] == lines
    status, _, err = run("evaluate", "retrieval", sides / "a.jsonl", sides / "b.parquet", *columns)
    assert (status, "line i of one must translate line i of the other" in err) == (2, True)


def test_a_third_column_for_two_files_is_refused(run, sides):
    options = ["--text-column", "a", "--text-column", "b", "--text-column", "c"]
    status, out, err = run("bitext", sides / "a.jsonl.xz", sides / "b.parquet", *options)
    assert (status, out) == (2, "")
    assert "--text-column is given 3 times; give it once, or once for each file" in err
