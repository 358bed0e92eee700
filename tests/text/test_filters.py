import pytest

from lightmine.errors import ArgumentError
from lightmine.io.sentences import Sentences
from lightmine.text.filters import PairFilter, SentenceFilter, normalized, numbers_in, urls_in
from lightmine.text.scripts import letters_by_script, scripts_of


def sentences(*texts):
    return Sentences(
        "x", list(texts), list(range(1, len(texts) + 1)), len(texts), [f"id-{t[:2]}" for t in texts]
    )


def test_what_is_not_asked_for_is_not_filtered():
    given = sentences("", "a" * 1000, "Да")
    assert SentenceFilter().apply(given) == (given, {})
    assert PairFilter().apply(["a", "b"], ["a", "9 http://x.org"]) == ([True, True], {})


def test_sentences_outside_the_lengths_are_left_out_and_counted_and_the_others_keep_lines_and_ids():
    kept, left_out = SentenceFilter(min_length=3, max_length=5).apply(
        sentences("ab", "abc", " abcde ", "abcdef")
    )
    assert (kept.texts, kept.lines, kept.ids) == (["abc", " abcde "], [2, 3], ["id-ab", "id- a"])
    assert left_out == {"shorter than 3 characters": 1, "longer than 5 characters": 1}


@pytest.mark.parametrize(
    ("script", "stays", "goes"),
    [
        ("de", ["Größe", "42 %", "Der Ort Пермь am Ural"], ["Привет", "你好", "Да, да, OK"]),
        ("Cyrillic", ["Привет, NATO!"], ["Hello Мир", "Γειά"]),
        ("zh", ["你好 OK"], ["ひらがな", "한국어"]),
        ("ja", ["日本語です", "カタカナ"], ["hello"]),
        ("sr", ["Здраво", "Zdravo"], ["你好"]),
    ],
)
def test_sentences_in_another_script_are_left_out(script, stays, goes):
    kept, left_out = SentenceFilter(script=script).apply(sentences(*stays, *goes))
    assert kept.texts == stays
    assert sum(left_out.values()) == len(goes)


def test_a_script_nobody_knows_is_refused():
    with pytest.raises(ArgumentError, match="'klingon' is no script and no language of the table"):
        SentenceFilter(script="klingon").apply(sentences("a"))


def test_scripts_are_read_off_the_letters():
    assert letters_by_script("ﾊﾛｰ Ａ é 3 ़ ก") == {"Katakana": 3, "Latin": 2, "Thai": 1}
    assert scripts_of("HAN") == ("Han",)


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        ("Hello, World!", "hello world", "near-copies"),
        ("ＡＢＣ", "abc", "near-copies"),
        ("?!", "?!", "near-copies"),
        ("short", "a good deal longer than that", "length ratio over 3"),
        ("In 1999.", "Im Jahr 1998.", "other numbers"),
        ("2 of 2", "2 of", "other numbers"),
        ("See http://a.org", "Siehe http://b.org", "other URLs"),
        ("One 1,234.5", "Eins 1.234,5", None),
        ("At 10 000 feet", "10.000 Fuß hoch", None),
        ("Go to www.a.org.", "Geh zu www.a.org!", None),
        ("?!", "??", None),
    ],
)
def test_pairs_are_left_out_by_the_filter_that_says_why(left, right, reason):
    everything = PairFilter(max_length_ratio=3, copies=True, numbers=True, urls=True)
    assert everything.apply([left], [right]) == ([reason is None], {reason: 1} if reason else {})


def test_numbers_keep_what_tells_them_apart():
    assert numbers_in("1,5 and 15, 1. 2. and 12:30") == {"15": 2, "1": 1, "2": 1, "12": 1, "30": 1}
    assert numbers_in("http://a.org/2020 2021") == {"2021": 1}
    assert urls_in("(https://a.org/b?c=1).") == {"https://a.org/b?c=1": 1}
    assert normalized("...") == "..."


def test_a_length_ratio_under_one_is_refused():
    with pytest.raises(ArgumentError, match=r"a length ratio is at least 1, not 0\.5"):
        PairFilter(max_length_ratio=0.5)
