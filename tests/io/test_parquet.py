"""Parquet by the type of a column: fields of structs, categories, and advice for types that are refused."""

import pyarrow
import pyarrow.parquet
import pytest

from lightmine.errors import TextError
from lightmine.io.formats import ReadOptions
from lightmine.io.limits import ReadLimits
from lightmine.io.sentences import read_sentences
from tests.command_line import run

__all__ = ["run"]

PAIRS = [{"en": "One.", "de": "Eins."}, None, {"en": None, "de": "Drei."}, {"en": "One.", "de": "Vier."}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.parquet"


@pytest.fixture
def read(path):
    def read(limits=None, group=3, columns=None, **reading):
        pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=group)
        return read_sentences(path, ReadOptions(**reading), limits=limits)

    return read


@pytest.mark.parametrize("small", [-1, 4 << 20])
def test_a_field_of_a_struct_by_its_name_with_dots(read, monkeypatch, small):
    monkeypatch.setattr("lightmine.io.parquet.SMALL", small)
    found = read(
        columns={"translation": PAIRS, "n": [5, 6, 7, 8]}, text_column="translation.en", id_column="n"
    )
    assert (found.texts, found.lines, found.ids, found.total) == (["One.", "One."], [1, 4], ["5", "8"], 4)
    found = read(columns={"translation": PAIRS}, text_column="translation.de")
    assert (found.texts, found.lines) == (["Eins.", "Drei.", "Vier."], [1, 3, 4])


def test_text_and_id_in_one_struct_at_any_depth(read):
    rows = [{"id": at, "t": {"de": {"plain": f"Satz {at}"}}} for at in range(5)]
    found = read(columns={"doc": rows}, text_column="doc.t.de.plain", id_column="doc.id")
    assert (found.texts[4], found.ids) == ("Satz 4", list("01234"))


def test_a_column_with_a_dot_in_its_name_comes_first(read):
    columns = {"a": [{"b": "inner"}], "a.b": ["outer"], "a.c": ["other"]}
    assert read(columns=columns, text_column="a.b").texts == ["outer"]
    assert read(columns=columns, text_column="a.c").texts == ["other"]


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "binary"])
def test_texts_of_every_type_within_a_struct(read, kind):
    texts = pyarrow.array(["één", None, "één"]).cast(getattr(pyarrow, kind)())
    structs = pyarrow.StructArray.from_arrays([texts], ["t"])
    assert read(columns={"s": structs}, text_column="s.t").texts == ["één", "één"]


def test_categories_are_read_as_what_they_stand_for(read):
    texts = pyarrow.array(["a", "b", None, "a"]).dictionary_encode()
    ids = pyarrow.array([7, 8, 9, 7]).dictionary_encode()
    found = read(columns={"text": texts, "id": ids}, id_column="id")
    assert (found.texts, found.ids) == (["a", "b", "a"], ["7", "8", "7"])
    found = read(columns={"s": pyarrow.StructArray.from_arrays([texts, ids], ["t", "n"])},
                 text_column="s.t", id_column="s.n")  # fmt: skip
    assert (found.texts, found.ids) == (["a", "b", "a"], ["7", "8", "7"])


@pytest.mark.parametrize(
    ("columns", "reading", "message"),
    [
        ({"t": PAIRS}, {}, r"column 't' is of struct<.*>, and text is needed; name one of its fields: 't"),
        ({"t": PAIRS, "n": [1] * 4}, {}, "has no column 'text'; it has 't.en', 't.de', 'n': name one"),
        ({"t": PAIRS}, {"text_column": 1}, "name one of its fields: 't.en', 't.de'"),
        ({"t": PAIRS}, {"text_column": "t.fr"}, "has no column 't.fr'; it has 't.en', 't.de': name one with"),
        ({"t": PAIRS}, {"text_column": "t.en.x"}, "has no column 't.en.x'; it has 't.en', 't.de'"),
        ({"t": PAIRS}, {"text_column": "t.en", "id_column": "t"}, "'t' is of struct<.*>, and an id is text"),
        ({"t": [{"n": 1}]}, {"text_column": "t.n"}, "column 't.n' is of int64, and text is needed; store"),
        ({"l": [["a", "b"]]}, {}, "'l' is of list<.*>, and text is needed; write a row for each element"),
        ({"s": [{"l": ["a"]}]}, {"text_column": "s.l"}, "'s.l' is of list<.*; write a row for each"),
        ({"l": [["a"]]}, {"text_column": "l.element"}, "has no column 'l.element'; it has 'l': name one"),
        ({"text": ["a"], "id": [["i"]]}, {"id_column": "id"}, "'id' is of list<.*; write a row for each"),
        ({"text": ["a"], "id": [1.0]}, {"id_column": "id"},
         "'id' is of double, and an id is text or a whole number: 1 would be written as 1.0, and long ids "
         "are rounded; store it as int64 or string"),
        ({"text": ["a"], "id": pyarrow.array([1.0]).dictionary_encode()}, {"id_column": "id"},
         "long ids are rounded; store it"),
        ({"text": ["a"], "id": [True]}, {"id_column": "id"}, "'id' is of bool, and an id is text or a whole"),
        ({"text": pyarrow.array([[("k", "v")]], pyarrow.map_(pyarrow.string(), pyarrow.string()))}, {},
         "column 'text' is of map<.*>, and text is needed$"),
        ({"text": [1.5]}, {}, "column 'text' is of double, and text is needed; store it as string"),
        ({"t\x1b": [{"\x1b[2J": ["a"]}]}, {}, "'t.x1b' is of struct<"),
    ],
)  # fmt: skip
def test_other_types_are_refused_in_one_line_that_says_what_to_do(read, columns, reading, message):
    with pytest.raises(TextError, match=message) as refused:
        read(columns=columns, **reading)
    assert str(refused.value).isprintable()


def test_a_field_that_stands_twice_in_a_struct_is_refused(read):
    twice = pyarrow.StructArray.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], ["x", "x"])
    with pytest.raises(TextError, match=r"more than one column 't.x'"):
        read(columns={"t": twice}, text_column="t.x")


@pytest.mark.slow
def test_a_bomb_in_a_struct_is_refused_as_one_in_a_column(read, path):
    texts = pyarrow.array(["x" * (1 << 20)] * 200)
    for column in (texts, texts.dictionary_encode()):
        with pytest.raises(
            TextError, match="unpacks to over 200 times its size, as a decompression bomb would"
        ):
            read(
                columns={"s": pyarrow.StructArray.from_arrays([column], ["t"])}, text_column="s.t", group=500
            )
    assert path.stat().st_size < 1 << 20
    found = read(columns={"s": pyarrow.StructArray.from_arrays([texts[:70]], ["t"])}, text_column="s.t",
                 limits=ReadLimits(ratio=1e9))  # fmt: skip
    assert len(found) == 70


def test_two_fields_of_one_file_are_the_two_sides(run, path):
    pyarrow.parquet.write_table(pyarrow.table({"translation": PAIRS}), path)
    columns = ["--text-column", "translation.en", "--text-column", "translation.de"]
    status, out, err = run("bitext", path, path, *columns, "-q", "--threshold", "none")
    assert (status, err) == (0, "")
    assert "One.\t" in out
