import pytest

from lightmine.errors import TextError
from lightmine.texts.columns import split_columns
from lightmine.texts.dedup import distinct
from lightmine.texts.lines import Sentences


def lines(*texts):
    return Sentences("x.de", list(texts), list(range(2, len(texts) + 2)), len(texts) + 1)


def test_an_id_and_a_sentence_tabs_and_all():
    split = split_columns(lines("de-1\tJa.\tWirklich.", "de-2\tNein."), id_column=1, text_column=None)
    assert (split.ids, split.texts, split.lines) == (["de-1", "de-2"], ["Ja.\tWirklich.", "Nein."], [2, 3])
    split = split_columns(lines("Ja.\tWirklich.\tde-1"), id_column=2, text_column=None)
    assert (split.ids, split.texts) == (["de-1"], ["Ja.\tWirklich."])


def test_columns_by_number():
    split = split_columns(lines("a\tb\tc"), id_column=3, text_column=2)
    assert (split.ids, split.texts) == (["c"], ["b"])
    split = split_columns(lines("a\tb\tc"), id_column=None, text_column=2)
    assert (split.ids, split.texts) == (None, ["b"])


def test_a_line_without_a_sentence_is_left_out_and_the_others_keep_their_numbers():
    split = split_columns(lines("1\t ", "2\tb"), id_column=1, text_column=None)
    assert (split.ids, split.texts, split.lines, split.total) == (["2"], ["b"], [3], 3)


@pytest.mark.parametrize(
    ("id_column", "text_column", "message"),
    [
        (1, None, "x.de: line 3 has no tab; an id, a tab and a sentence are needed"),
        (None, 2, "x.de: line 3 has no tab; column 2 is needed"),
        (1, 4, "x.de: line 2 has 2 columns; column 4 is needed"),
    ],
)
def test_a_missing_column_is_named_by_line(id_column, text_column, message):
    with pytest.raises(TextError, match=message):
        split_columns(lines("1\ta", "alone"), id_column=id_column, text_column=text_column)


def test_repeated_texts_keep_all_their_ids_or_the_first():
    split = split_columns(lines("i\tA", "j\tb", "k\tA"), id_column=1, text_column=None)
    texts = distinct(split)
    assert (texts.texts, texts.lines, texts.ids) == (["A", "b"], [[2, 4], [3]], [["i", "k"], ["j"]])
    assert (texts.firsts().lines, texts.firsts().ids) == ([[2], [3]], [["i"], ["j"]])
    assert distinct(split, str.casefold).texts == ["A", "b"]
