"""Characters that nobody sees change nothing in the packaged models; those that a script needs stay."""

import numpy as np
import pytest

from export_scripts.static_normalizer import normalizer
from lightmine import Encoder, mine_paraphrases

HIDDEN = [
    "\u00ad",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u200e",
    "\u200f",
    "\u202b",
    "\u2060",
    "\ufeff",
    "\ufe0f",
    "\0",
]
SAME = [
    ("The station is near.", "The sta{}tion is ne{}ar."),
    ("Die Versicherung läuft ab.", "Die Ver{}si{}che{}rung läuft ab.{}"),
    ("Поезд опаздывает.", "{}Поезд опазды{}вает."),
    ("สถานีอยู่ไหน", "สถานี{}อยู่{}ไหน"),
    ("駅はどこですか", "駅{}はどこ{}ですか"),
]


@pytest.mark.parametrize("name", ["static-multilingual", "static-tiny"])
@pytest.mark.parametrize("mark", HIDDEN, ids=lambda mark: f"U+{ord(mark):04X}")
def test_hidden_characters_change_no_vector(name, mark):
    encoder = Encoder.load(name)
    plain = encoder.encode([text for text, _ in SAME])
    assert (encoder.encode([marked.format(*[mark] * 9) for _, marked in SAME]) == plain).all()


def test_texts_with_hidden_characters_are_found_as_equal():
    texts = [f"Sentence number {number} of the list." for number in range(26)]
    marked = ["\u200b".join(text.split("t")).replace("\u200b", "t\u200b") for text in texts]
    encoder = Encoder.load()
    found = mine_paraphrases(encoder.encode(texts), encoder.encode(marked), top_k=1, threshold=0.99999)
    assert {(left, right) for _, left, right in found} == {(row, row) for row in range(26)}


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("مُحَمَّدٌ كَتَبَ الرِّسَالَةَ", "محمد كتب الرسالة"),
        ("الســـلام عليكم", "السلام عليكم"),
        ("בְּרֵאשִׁית בָּרָא", "בראשית ברא"),
        ("\ufb2aלום", "שלום"),
        ("cafe\u200b\u0301", "café"),
    ],
)
def test_vowel_marks_and_parted_accents_make_no_other_text(written, plain):
    x, y = Encoder.load().encode([written, plain])
    assert (x == y).all()


@pytest.mark.parametrize(
    "text", ["می\u200cخواهم", "क\u094d\u200dष", "ക\u0d4d\u200cഷ", "آمنة", "سأل", "٣\u0600"]
)
def test_joiners_and_marks_that_a_script_needs_stay(text):
    assert normalizer().normalize_str(text) == text


def test_a_joiner_at_the_end_of_a_word_or_in_another_script_goes():
    steps = normalizer()
    assert steps.normalize_str("می\u200c و\u200d") == "می و"
    assert steps.normalize_str("of\u200cfice") == "office"


def test_the_packaged_tokenizers_have_this_normalizer():
    for name in ("static-multilingual", "static-tiny"):
        found = Encoder.load(name)._tokenizer._tokenizer.normalizer
        assert found.__getstate__() == normalizer().__getstate__()


def test_a_line_of_hidden_characters_alone_has_no_tokens():
    encoder = Encoder.load()
    x = encoder.encode(["\u200b\u200f", "word"], no_tokens="zeros")
    assert np.flatnonzero(~x.any(axis=1)).tolist() == [0]
