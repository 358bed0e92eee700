"""Lines that hold more than a sentence: TSV, CSV and JSONL by numbers and names."""

import csv
import io

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lightmine.errors import ArgumentError, TextError
from lightmine.io.formats import ReadOptions
from lightmine.io.sentences import read_sentences, stream_rows
from lightmine.text.unique import unique_texts


@pytest.fixture
def read(tmp_path):
    def read(text, name="x.tsv", **reading):
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8"))
        return read_sentences(path, ReadOptions(**reading))

    return read


def test_an_id_and_a_sentence_tabs_and_all(read):
    split = read("\nde-1\tJa.\tWirklich.\nde-2\tNein.\n", id_column=1)
    assert (split.ids, split.texts, split.lines) == (["de-1", "de-2"], ["Ja.\tWirklich.", "Nein."], [2, 3])
    split = read("Ja.\tWirklich.\tde-1", name="x.de", id_column=2)
    assert (split.ids, split.texts) == (["de-1"], ["Ja.\tWirklich."])


def test_columns_by_number(read):
    split = read("a\tb\tc\r\n", id_column=3, text_column=2)
    assert (split.ids, split.texts) == (["c"], ["b"])
    split = read("a\tb\tc", text_column=3)
    assert (split.ids, split.texts) == (None, ["c"])


def test_columns_by_name_are_those_of_the_header(read):
    split = read("\ufeffid\tsentence \r\n1\tJa.\r\n2\tNein.\r\n", text_column="sentence", id_column="id")
    assert (split.ids, split.texts, split.lines, split.total) == (["1", "2"], ["Ja.", "Nein."], [2, 3], 2)
    assert (split.rows, split.places(), split.bom) == ([0, 1], [0, 1], True)
    split = read("id,sentence\n1,Ja.\n", name="x.csv", text_column=2, header=True)
    assert split.texts == ["Ja."]
    # By name, text without an ending is taken apart too.
    assert read("id\tsentence\n1\tJa.\n", name="x.de", text_column="sentence").texts == ["Ja."]


def test_a_line_without_a_sentence_is_left_out_and_the_others_keep_their_numbers(read):
    split = read("1\t \n2\tb\n\n", id_column=1)
    assert (split.ids, split.texts, split.lines, split.total) == (["2"], ["b"], [2], 3)
    split = read("1,\n\n2,b\n", name="x.csv", id_column=1, text_column=2)
    assert (split.ids, split.texts, split.lines, split.total) == (["2"], ["b"], [3], 3)
    split = read('{"text": null}\n\n{"text": " "}\n{"text": "b"}\n', name="x.jsonl")
    assert (split.texts, split.lines, split.total) == (["b"], [4], 4)


def test_a_csv_record_stands_on_the_line_it_starts_on(read):
    split = read('a,"one\r\n, ""two""\n"\r\n\nb,5" wide\n"c","x"', name="x.csv", text_column=2)
    assert split.texts == ['one\r\n, "two"\n', '5" wide', "x"]
    assert (split.lines, split.rows, split.total) == ([1, 5, 6], [0, 2, 3], 4)


def test_fields_of_json_and_fields_of_fields(read):
    text = '{"id": 7, "t": {"de": "Ja.\\u2028"}, "a.b": "dotted"}\n'
    split = read(text, name="x.ndjson", text_column="t.de", id_column="id")
    assert (split.texts, split.ids) == (["Ja.\u2028"], ["7"])
    assert read(text, name="x.jsonl", text_column="a.b").texts == ["dotted"]


@pytest.mark.parametrize(
    ("text", "name", "reading", "message"),
    [
        ("\n1\ta\nalone\n", "x.tsv", {"id_column": 1}, "x.tsv: line 3 has no tab; an id, a tab and a"),
        ("1\ta\nalone\n", "x", {"text_column": 2}, "x: line 2 has one column; column 2 is needed"),
        ("1\ta\n", "x", {"text_column": 4, "id_column": 1}, "x: line 1 has 2 columns; column 4 is needed"),
        ("a\nb\tc\n", "x.tsv", {}, r"line 2 has 2 columns \('b', 'c'\); say which is the sentence: --text-c"),
        ("a,b\n", "x.csv", {"header": True}, r"line 1 has 2 columns \('a', 'b'\); say which"),
        ("id,s\n1,a\n", "x.csv", {"text_column": "t"}, "line 1 names no column 't'; it names 'id', 's'"),
        ("s,s\n1,a\n", "x.csv", {"text_column": "s"}, "line 1 names 's' 2 times; give the column's number"),
        ('a\n"b\nc\n', "x.csv", {}, "x.csv: line 2: a quoted field is never closed; close it"),
        ('a\n"b"c\n', "x.csv", {}, "line 2: 'c' follows a closing quote; quotes within a quoted field are"),
        ('{"text": 1}', "x.jsonl", {}, "x.jsonl: line 1: 'text' is a number, and text is needed"),
        ('\n{"body": "a"}', "x.jsonl", {}, "line 2: has no field 'text'; it has 'body': name one with"),
        ('{"text": "a"', "x.jsonl", {}, "line 1, character 13: not JSON: .*; one object a line is needed"),
        ("[" * 100_000, "x.jsonl", {}, "line 1: not a record: it is nested too deep"),
        ('["a"]', "x.jsonl", {}, "line 1: is a list, and an object is needed"),
        ("1" * 5000, "x.jsonl", {}, "line 1: not JSON that is read here: Exceeds the limit"),
        ('{"text": NaN}', "x.jsonl", {}, "line 1: not JSON that is read here: NaN is no JSON"),
        ('{"text": "a\\ud83d"}', "x.jsonl", {}, r"line 1: \\ud83d is half a character; correct it, or"),
        ('{"text": "a", "i": 1.5}', "x.jsonl", {"id_column": "i"}, "'i' is a number; an id is text or a who"),
        ('{"text": "a"}', "x.jsonl", {"id_column": "i"}, "no field 'i'; it has 'text': name one with --id"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_sentence_is_named_by_line(read, text, name, reading, message):
    with pytest.raises(TextError, match=message) as refused:
        read(text, name=name, **reading)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        ({"text_column": 1, "id_column": 1}, "column 1 cannot be both the id and the text"),
        ({"id_column": 3}, "--id-column 1 or 2 is of an id and a sentence; beyond, name --text-column too"),
        ({"text_column": 0}, "text_column counts from 1, not 0"),
        ({"format": "xml"}, "no format 'xml'; there are txt, tsv, csv, jsonl, json, parquet"),
        ({"format": "csv.rar"}, "no format 'csv.rar'; .* with .gz, .bz2, .xz, .zst behind it"),
        ({"errors": "ignore"}, "errors is strict or replace, not 'ignore'"),
        ({"encoding": "utf-9"}, "'utf-9' is no encoding of lines of text that Python knows; utf-8"),
        ({"encoding": "utf-7"}, "'utf-7' is no encoding of lines of text"),
        ({"encoding": "base64"}, "'base64' is no encoding"),
        ({"encoding": "cp500"}, "'cp500' is no encoding"),
        ({"encoding": "a\0b"}, "is no encoding"),
    ],
)
def test_a_reading_that_makes_no_sense_is_refused(read, reading, message):
    with pytest.raises(ArgumentError, match=message):
        read("a\tb", **reading)


def test_half_characters_are_replaced_when_asked_and_counted(read):
    text = '{"text": "a\\ud83d\\ude00 \\ud83d", "id": "\\udc00"}'
    found = read(text, name="x.jsonl", errors="replace", id_column="id")
    assert (found.texts, found.ids, found.replaced) == (["a\U0001f600 \ufffd"], ["\ufffd"], 2)


rows = st.lists(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=4), max_size=8
)


@given(rows)
def test_csv_is_read_as_pythons_own_reader_reads_it(tmp_path_factory, rows):
    written = io.StringIO(newline="")
    csv.writer(written).writerows([["a", "b"], *rows])
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    path.write_bytes(written.getvalue().encode())
    _, blocks = stream_rows(str(path), ReadOptions())
    assert [fields for block in blocks for _, fields in block] == [["a", "b"], *rows]


def test_repeated_texts_keep_all_their_ids_or_the_first(read):
    split = read("\ni\tA\nj\tb\nk\tA\n", id_column=1)
    texts = unique_texts(split)
    assert (texts.texts, texts.lines, texts.ids) == (["A", "b"], [[2, 4], [3]], [["i", "k"], ["j"]])
    assert (texts.firsts().lines, texts.firsts().ids) == ([[2], [3]], [["i"], ["j"]])
    assert unique_texts(split, str.casefold).texts == ["A", "b"]
