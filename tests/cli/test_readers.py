"""What real files hold that is no plain table of sentences: refused by line, or kept, counted and said."""

import gzip
import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lightmine.errors import ArgumentError, TextError
from lightmine.io.escapes import join_list, split_list
from lightmine.io.formats import ReadOptions, kind_of
from lightmine.io.gold import read_gold, read_mined
from lightmine.io.pair_writer import write_pairs
from lightmine.io.sentences import read_sentences
from tests.command_line import rows, run

__all__ = ["run"]

COLUMNS = ["--text-column", "text", "--id-column", "id", "--threshold", "none"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "x.csv",
            "id,text\n1,One.\n2,Come, now.\n",
            "x.csv: line 3 has 3 columns where line 1 has 2; put a field",
        ),
        (
            "x.tsv",
            "id\ttext\n1\tOne.\n2\tA\tB\n",
            "x.tsv: line 3 has 3 columns where line 1 has 2; remove the tabs",
        ),
        ("x.csv", "text,id\nOne.\n", "x.csv: line 2 has one column; column 2 is needed"),
        ("x.csv", "id;text\n1;One.\n", "if columns are separated by ;, say --delimiter ';'"),
        ("x.csv", "id\ttext\n1\tOne.\n", "if columns are separated by tab, say --delimiter tab"),
    ],
)
def test_a_row_that_would_lose_text_is_refused_by_its_line(run, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    status, out, err = run("paraphrase", tmp_path / name, *COLUMNS)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_header_of_one_column_does_not_cut_texts_at_their_commas(run, tmp_path):
    (tmp_path / "x.csv").write_text("text\nOne sentence.\nAnother one, please.\n")
    status, _, err = run("paraphrase", tmp_path / "x.csv", "--text-column", "text")
    assert status == 2
    assert "line 3 has 2 columns where line 1 has 1; put a field that holds ',' between quotes" in err


def test_empty_fields_at_the_end_lose_nothing_and_short_rows_are_counted(run, tmp_path):
    (tmp_path / "x.csv").write_text("id,text,note\n1,One.,,\n2,Two.\n3,Three.,x\n")
    status, out, err = run("paraphrase", tmp_path / "x.csv", *COLUMNS)
    assert (status, len(rows(out))) == (0, 3)
    assert "x.csv: 1 rows with fewer columns than the first" in err


@pytest.mark.parametrize(("delimiter", "mark"), [(";", ";"), ("tab", "\t"), ("|", "|")])
def test_a_delimiter_may_be_named(run, tmp_path, delimiter, mark):
    lines = [["id", "text"], ["1", "One."], ["2", f'"Two, and{mark} more."']]
    (tmp_path / "x.csv").write_text("\ufeff" + "".join(mark.join(line) + "\n" for line in lines))
    status, out, err = run("paraphrase", tmp_path / "x.csv", *COLUMNS, "--delimiter", delimiter)
    assert (status, len(rows(out))) == (0, 1)
    assert "byte order mark" in err
    found = read_sentences(tmp_path / "x.csv", ReadOptions(text_column="text", delimiter=mark))
    assert found.texts == ["One.", f"Two, and{mark} more."]
    status, _, err = run("paraphrase", tmp_path / "x.csv", *COLUMNS, "--delimiter", "::")
    assert (status, err) == (2, "lightmine: a delimiter is one character, or tab, and no quote; not '::'\n")


@pytest.mark.parametrize("field", ["text", "Säule", "t.en"])
@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_an_object_with_a_field_twice_is_refused(tmp_path, name, field):
    inner = field.split(".")[-1]
    entry = f'{{{json.dumps(inner)}: "a", {json.dumps(inner)}: "b"}}'
    entry = entry if inner == field else f'{{"t": {entry}}}'
    (tmp_path / name).write_text(entry + "\n" if name.endswith("l") else f"[{entry}]")
    with pytest.raises(TextError, match=f"an object has the field '{inner}' twice"):
        read_sentences(tmp_path / name, ReadOptions(text_column=field))


@pytest.mark.parametrize(
    "ending",
    [
        "tmx",
        "xlf",
        "sdlxliff",
        "po",
        "srt",
        "vtt",
        "html",
        "xml",
        "rtf",
        "odt",
        "epub",
        "tbx",
        "tmx.gz",
        "po.zst",
    ],
)
def test_documents_are_refused_by_their_ending(ending):
    with pytest.raises(ArgumentError, match="is not read; make a file of a sentence a line, or JSONL, of it"):
        kind_of(f"memory.{ending}")


TEXT = "Where is the station?\nHow do I get there?\nWo ist der Bahnhof, bitte?\n"
STRANGE = [
    (TEXT.encode("utf-16-le"), "as of UTF-16 that is read as UTF-8; say --encoding utf-16-le"),
    (TEXT.encode("utf-16-be"), "as of UTF-16 that is read as UTF-8; say --encoding utf-16-be"),
    ("Где вокзал? Как пройти?\nКогда поезд?\n".encode("utf-16-le"), "say --encoding utf-16-le"),
    (TEXT.encode("utf-32-le"), "as of UTF-32 that is read as UTF-8; say --encoding utf-32-le"),
    (
        TEXT.replace("\n", "\r").encode(),
        "has no line end but carriage returns, so it is one line; convert it: tr",
    ),
    (b"%PDF-1.7\n%abc\n", "it starts as PDF does, and text is needed; convert it first"),
    (b"<?xml version='1.0'?>\n<a/>\n", "it starts as XML does"),
    (b"<!DOCTYPE html>\n", "it starts as HTML does"),
    (b"PK\x03\x04 more\n", "it starts as ZIP does"),
    (b"{\\rtf1 more}\n", "it starts as RTF does"),
]


@pytest.mark.parametrize(("data", "message"), STRANGE, ids=[message[:24] for _, message in STRANGE])
@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.txt.gz"])
def test_what_is_no_text_in_this_encoding_is_refused(run, tmp_path, data, message, name):
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    status, out, err = run("paraphrase", tmp_path / name, *(COLUMNS if "csv" in name else []))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_byte_order_mark_of_the_other_order_is_refused(run, tmp_path):
    (tmp_path / "x.txt").write_bytes(("\ufeff" + TEXT).encode("utf-16-le"))
    status, _, err = run("paraphrase", tmp_path / "x.txt", "--encoding", "utf-16-be")
    assert status == 2
    assert "its byte order mark is not that of UTF-16-BE; leave -le or -be out" in err


def test_lines_with_nul_or_a_carriage_return_are_kept_and_counted(run, tmp_path):
    (tmp_path / "x.txt").write_text("One line.\nA\0B and more.\nC\rD and more.\n", newline="")
    status, _, err = run("paraphrase", tmp_path / "x.txt", "--threshold", "none")
    assert status == 0
    assert "x.txt: 1 lines with a carriage return within" in err
    assert "x.txt: 1 lines with a NUL character" in err
    assert read_sentences(tmp_path / "x.txt").texts == ["One line.", "A\0B and more.", "C\rD and more."]


odd = st.text(st.sampled_from('a,\\\t\n\r"nrt é'), max_size=8)


@given(st.lists(odd, min_size=1, max_size=4))
def test_lists_of_ids_come_back_from_a_cell(ids):
    assert split_list(join_list(ids)) == ids


@given(texts=st.lists(odd.filter(str.strip), min_size=1, max_size=5), packed=st.booleans())
def test_texts_come_back_from_our_own_tsv(tmp_path_factory, texts, packed):
    path = tmp_path_factory.mktemp("own") / ("pairs.tsv.gz" if packed else "pairs.tsv")
    count = len(texts)
    columns = {"score": [0.5] * count, "left_lines": [[1]] * count, "right_lines": [[2, 3]] * count,
               "left_ids": [["a,b", "c"]] * count, "left_text": texts, "right_text": texts}  # fmt: skip
    with (gzip.open if packed else open)(path, "wt", encoding="utf-8", newline="") as stream:
        write_pairs(stream, columns, format="tsv")
    found = read_sentences(path, ReadOptions(text_column="right_text", id_column="left_ids"))
    assert found.texts == texts
    assert set(found.ids) == {"a\\,b,c"}


def test_a_tsv_of_somebody_else_keeps_its_backslashes(tmp_path):
    (tmp_path / "x.tsv").write_text("score\tleft_text\n0.5\tC:\\temp\\new\n")
    assert read_sentences(tmp_path / "x.tsv", ReadOptions(text_column="left_text")).texts == ["C:\\temp\\new"]


@pytest.mark.parametrize("ending", ["tsv", "tsv.gz", "csv"])
def test_ids_with_commas_go_from_bitext_to_evaluation_and_to_lists_of_copies(run, tmp_path, ending):
    (tmp_path / "x.en").write_text("a,1\tThe dog sleeps.\na,2\tIt is raining.\nb\\3\tThe dog sleeps.\n")
    (tmp_path / "x.de").write_text("d,1\tDer Hund schläft.\nd,2\tEs regnet.\n")
    mined, gold = tmp_path / f"mined.{ending}", tmp_path / "gold"
    sides = [tmp_path / "x.en", tmp_path / "x.de", "--id-column", 1]
    assert run("bitext", *sides, "--threshold", "none", "-o", mined)[0] == 0
    pairs, _ = read_mined(mined)
    assert set(pairs) == {("a,1", "d,1"), ("b\\3", "d,1"), ("a,2", "d,2")}
    gold.write_text("a,1\td,1\na,2\td,2\nb\\3\td,1\n")
    assert json.loads(run("evaluate", "pairs", mined, gold, "--json")[1])["f1"] == 1
    copies = tmp_path / "copies.tsv"
    run("paraphrase", tmp_path / "x.en", "--id-column", 1, "--duplicates-output", copies, "-q")
    assert [(row["line"], row["id"]) for row in rows(copies.read_text())] == [("1", "a,1"), ("3", "b\\\\3")]


IDS = {"1": 0, "2": 1, "3": 2, "4": 3}


@pytest.mark.parametrize(
    ("text", "pairs", "notes"),
    [
        ("1\t2\n3\t4\n", [(0, 1), (2, 3)], []),
        ("qid1\tqid2\n1\t2\n", [(0, 1)], ["gold: line 1 (qid1 qid2) is taken for a header"]),
        ("a\tb\tis_duplicate\n1\t2\t1\n3\t4\t0\n", [(0, 1)],
         ["gold: line 1 (a b is_duplicate) is taken for a header",
          "gold: 1 pairs are labelled as not true, and are left out"]),
        ("1\t2\tyes\n1\t3\tNo\n1\t4\tTRUE\n", [(0, 1), (0, 3)],
         ["gold: 1 pairs are labelled as not true, and are left out"]),
    ],
)  # fmt: skip
def test_gold_may_have_a_header_and_labels(tmp_path, monkeypatch, text, pairs, notes):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gold").write_text(text)
    gold = read_gold("gold", IDS, IDS)
    assert (gold.pairs, list(gold.notes())) == (pairs, notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\t0.9\n", "line 1: '0.9' in the third column is no label"),
        ("1\t2\t1\tmore\n", "line 1 has 4 columns; two ids are needed, or a label more"),
        ("9\t2\n1\t2\n", "line 1: no left sentence has the id '9'"),
        ("1\t2\t0\n", "holds no pairs that are labelled as true"),
    ],
)
def test_gold_of_another_kind_is_refused_by_its_line(tmp_path, text, message):
    (tmp_path / "gold").write_text(text)
    with pytest.raises(TextError, match=message):
        read_gold(tmp_path / "gold", IDS, IDS)


def test_a_header_of_gold_is_said_and_a_pair_that_was_not_mined_is_none(run, tmp_path):
    (tmp_path / "mined").write_text("de-2\ten-2\t0.9\nde-3\ten-3\t0.8\n")
    (tmp_path / "gold").write_text("de-1\ten-1\nde-2\ten-2\nde-3\ten-3\n")
    figures = json.loads(run("evaluate", "pairs", tmp_path / "mined", tmp_path / "gold", "--json")[1])
    assert (figures["gold"], figures["recall"]) == (3, pytest.approx(2 / 3))
    (tmp_path / "gold").write_text("id1\tid2\nde-2\ten-2\nde-3\ten-3\n")
    _, out, err = run("evaluate", "pairs", tmp_path / "mined", tmp_path / "gold", "--json")
    assert json.loads(out)["gold"] == 2
    assert "line 1 (id1 id2) is taken for a header" in err


@pytest.mark.parametrize("line", ["a\tb\tnan", "a\tb\thigh", "a\tb\t0.5\tmore"])
def test_a_mined_pair_with_no_finite_score_or_more_columns_is_refused(tmp_path, line):
    (tmp_path / "mined").write_text(f"a\tb\t1\n{line}\n")
    with pytest.raises(TextError, match=r"mined: line 2"):
        read_mined(tmp_path / "mined")
