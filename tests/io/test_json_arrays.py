"""One JSON array in a file: read element by element, however the text is cut into chunks."""

import bz2
import gzip
import json
import lzma
import tracemalloc

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lightmine.errors import TextError
from lightmine.io.decoding import DecodedLines
from lightmine.io.formats import ReadOptions
from lightmine.io.json_arrays import json_array_blocks
from lightmine.io.limits import ReadLimits
from lightmine.io.sentences import read_sentences, stream_sentences
from tests.command_line import run

__all__ = ["run"]


@pytest.fixture
def read(tmp_path):
    def read(text, name="x.json", limits=None, **reading):
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8"))
        return read_sentences(path, ReadOptions(**reading), limits=limits)

    return read


def test_objects_and_texts_of_an_array_are_records(read):
    found = read('[{"text": "a"}, {"text": null},\n {"text": " "}, null, {"text": "b\\u2028"}]\n')
    assert (found.texts, found.lines, found.total) == (["a", "b\u2028"], [1, 5], 5)
    found = read('\ufeff\n ["a", "", "b, ]", {"text": "c"}]')
    assert (found.texts, found.lines, found.total, found.bom) == (["a", "b, ]", "c"], [1, 3, 4], 4, True)
    assert read('["a"]', text_column=1).texts == ["a"]
    found = read('[{"id": 7, "t": {"de": "Ja."}}]', text_column="t.de", id_column="id")
    assert (found.texts, found.ids) == (["Ja."], ["7"])
    assert [read(text).total for text in ("[]", " [ ] ", "", "\n")] == [0, 0, 0, 1]


def test_a_pretty_array_is_the_same_as_a_compact_one(read):
    entries = [{"text": f"é {at}", "more": [1, {"a": []}]} for at in range(50)]
    assert read(json.dumps(entries, indent=2)) == read(json.dumps(entries))


def test_json_lines_are_read_as_such_whatever_the_name(read):
    assert read('\n{"text": "a"}\n{"text": "b"}\n').lines == [2, 3]
    assert read('["a"]', name="x.txt", format="json").texts == ["a"]


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_packed_arrays(tmp_path, ending, pack):
    path = tmp_path / f"x.json.{ending}"
    path.write_bytes(pack(b'["a", "b"]'))
    assert read_sentences(path).texts == ["a", "b"]


def test_other_encodings(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes('["één"]'.encode("utf-16"))
    assert read_sentences(path, ReadOptions(encoding="utf-16")).texts == ["één"]


visible = st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip)
values = visible | st.fixed_dictionaries({"text": visible}, optional={"n": st.floats() | st.integers()})


@given(st.lists(values), st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]))
def test_pieces_do_not_matter(elements, size, ascii_only, indent):
    elements = json.loads(json.dumps(elements).replace("NaN", "0").replace("Infinity", "1"))
    data = json.dumps(elements, ensure_ascii=ascii_only, indent=indent).encode()
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    lines = DecodedLines(pieces, "x", encoding="utf-8", errors="strict", limits=ReadLimits())
    assert lines.peek() == "["
    found = [text for block in json_array_blocks(lines, ReadOptions()) for text in block.texts]
    assert found == [one if isinstance(one, str) else one["text"] for one in elements]


@pytest.mark.parametrize(
    ("text", "reading", "message"),
    [
        ('["a", 1]', {}, r"x.json: element 2 \(line 1, character 7\): is a number, and an object or a te"),
        ('["a",\n ["b"]]', {}, r"element 2 \(line 2, character 2\): is a list, and an object or a text"),
        ("[" * 100_000, {}, "element 1 .*: is a list"),
        ('[{"a": ' * 100_000, {}, "element 1 .*: not a record: it is nested too deep"),
        ('["a", true]', {}, "element 2: is true, and an object is needed"),
        ('["a", {"body": "b"}]', {}, "element 2: has no field 'text'; it has 'body': name one with --text-f"),
        ('[{"text": 1}]', {}, "element 1: 'text' is a number, and text is needed"),
        ('[{"text": "a", "i": 1.5}]', {"id_column": "i"}, "element 1: 'i' is a number; an id is text or a"),
        ('["a"]', {"id_column": "i"}, "element 1: is text, which has no id; leave out --id-field"),
        ('["a"]', {"text_column": "t"}, "element 1: is text, which has no field 't'; leave out --text-field"),
        ('["a" "b"]', {}, r"""element 1 \(line 1, character 6\): '"' follows the element; a comma or the"""),
        ('["a",]', {}, r"element 2 \(line 1, character 6\): not JSON: Expecting value; an array of objects"),
        ('["a",\n {"text" "b"}' + ', "c"' * 9 + "]", {}, r"element 2 \(line 2, character 10\): not JSON: E"),
        ('["a", NaN]', {}, "element 2 .*: not JSON that is read here: NaN is no JSON"),
        ('["a"]\n["b"]', {}, "x.json: line 2: something follows the array; one array, or an object a line"),
        ('["a"', {}, "x.json: element 1: the file ends before the array does; fetch it again"),
        ("[", {}, "x.json: element 1: the file ends before the array does"),
        ('["a", "b', {}, "x.json: element 2: the file ends before the array does"),
        ('["a", {"text": "b"', {}, "x.json: element 2: the file ends before the array does"),
        ('["a\\ud83d"]', {}, r"element 1: \\ud83d is half a character; correct it, or read it with --errors"),
        ('{\n "text": "a"\n}', {}, r"line 1, character 2: not JSON: .* needed \(jq -c . FILE writes obj"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_element(read, text, reading, message):
    with pytest.raises(TextError, match=message) as refused:
        read(text, **reading)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("text", ['["a"]', '[\n  {"text": "a"}\n]'])
def test_an_array_that_is_called_jsonl_is_refused_with_the_option_to_give(read, text):
    with pytest.raises(TextError, match=r"line 1.* if the file is one array, say --input-format json"):
        read(text, name="x.jsonl")


def test_half_characters_are_replaced_when_asked_and_counted(read):
    found = read('["a\\ud83d\\ude00 \\ud83d"]', errors="replace")
    assert (found.texts, found.replaced) == (["a\U0001f600 \ufffd"], 1)


def test_an_element_is_held_against_the_limit_of_a_line(read):
    limits = ReadLimits(line=100)
    assert len(read(json.dumps(["x" * 98] * 9), limits=limits)) == 9
    message = r"element 2 \(line 1, character 7\): is longer than 100 characters; .*set LIGHTMINE_MAX_LINE"
    for text in (json.dumps(["a", "x" * 99]), '["a", "' + "x" * (1 << 21)):
        with pytest.raises(TextError, match=message):
            read(text, limits=limits)


def test_a_long_element_in_many_pieces_is_not_parsed_again_for_each(monkeypatch):
    tries = []
    decoder = json.JSONDecoder
    monkeypatch.setattr(
        decoder,
        "raw_decode",
        lambda self, text, at, real=decoder.raw_decode: (tries.append(1), real(self, text, at))[1],
    )
    data = b'["' + b"x" * 100_000 + b'"]'
    lines = DecodedLines((data[at : at + 10] for at in range(0, len(data), 10)), "x", encoding="utf-8",
                  errors="strict", limits=ReadLimits())  # fmt: skip
    assert [len(text) for block in json_array_blocks(lines, ReadOptions()) for text in block.texts] == [
        100_000
    ]
    assert len(tries) < 20


@pytest.mark.slow
def test_blocks_are_bounded(tmp_path):
    path = tmp_path / "x.json.gz"
    element = json.dumps({"text": "A sentence of some length that is repeated. " * 4}) + ","
    path.write_bytes(gzip.compress(b"[" + element.encode() * 50_000 + b'"last"]'))
    stream = stream_sentences(path, limits=ReadLimits(ratio=2000))
    tracemalloc.start()
    most = 0
    for block in stream:
        most = max(most, len(block.texts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (stream.total, stream.sentences) == (50_001, 50_001)
    assert most < 12_000
    assert peak < 16 << 20


def test_commands_read_arrays(run, tmp_path):
    (tmp_path / "a.json").write_text('["Where is it?", "It rains.", "Where is it? "]')
    status, out, err = run("paraphrase", tmp_path / "a.json", "-q", "--threshold", "none")
    assert (status, err) == (0, "")
    assert out.splitlines()[1].split("\t")[1:3] == ["1", "3"]
    status, _, err = run("paraphrase", "-", "--input-format", "json", stdin=b'[{"body": "a"}]')
    assert status == 2
    assert err.endswith("input: element 1: has no field 'text'; it has 'body': name one with --text-field\n")
