"""Unicode scripts of letters and of languages."""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter

from lightmine.errors import ArgumentError

# First words of character names that do not name the script.
FORMS = ("FULLWIDTH", "HALFWIDTH", "COMBINING", "MODIFIER", "CIRCLED", "PARENTHESIZED", "SQUARED")
RENAMED = {"Cjk": "Han", "Kangxi": "Han"}

# Languages by script, as ISO 639-1 and 639-3 codes.
LANGUAGES = {
    ("Arabic",): "ar ara fa fas ur urd ps pus ug uig ckb sd snd",
    ("Armenian",): "hy hye",
    ("Bengali",): "bn ben as asm",
    ("Cyrillic",): "be bel bg bul kk kaz ky kir mk mkd mn mon ru rus tg tgk tt tat uk ukr",
    ("Cyrillic", "Latin"): "sr srp bs bos",
    ("Devanagari",): "hi hin mr mar ne nep sa san",
    ("Ethiopic",): "am amh ti tir",
    ("Georgian",): "ka kat",
    ("Greek",): "el ell",
    ("Gujarati",): "gu guj",
    ("Gurmukhi",): "pa pan",
    ("Han",): "zh zho cmn yue wuu lzh",
    ("Han", "Hiragana", "Katakana"): "ja jpn",
    ("Hangul", "Han"): "ko kor",
    ("Hebrew",): "he heb yi yid",
    ("Kannada",): "kn kan",
    ("Khmer",): "km khm",
    ("Lao",): "lo lao",
    ("Malayalam",): "ml mal",
    ("Myanmar",): "my mya",
    ("Sinhala",): "si sin",
    ("Tamil",): "ta tam",
    ("Telugu",): "te tel",
    ("Thai",): "th tha",
    ("Tibetan",): "bo bod dz dzo",
    ("Latin",): (
        "af afr sq sqi eu eus br bre ca cat hr hrv cs ces da dan nl nld en eng eo epo et est fo fao fi fin "
        "fr fra fy fry gl glg de deu ht hat ha hau hu hun is isl id ind ga gle it ita jv jav ku kur la lat "
        "lv lav lt lit lb ltz ms msa mg mlg mt mlt nb nob nn nno no nor oc oci pl pol pt por ro ron gd gla "
        "sk slk sl slv so som es spa su sun sw swa sv swe tl tgl tr tur tk tuk uz uzb vi vie cy cym xh xho "
        "yo yor zu zul"
    ),
}
SCRIPTS_OF = {code: scripts for scripts, codes in LANGUAGES.items() for code in codes.split()}


def scripts_of(name: str) -> tuple[str, ...]:
    """The scripts of a language code, or the script of this name.

    Raises
    ------
    ArgumentError
        The name is neither a script nor a language of the table.

    Examples
    --------
    >>> scripts_of("ja"), scripts_of("cyrillic")
    (('Han', 'Hiragana', 'Katakana'), ('Cyrillic',))
    """
    if name.lower() in SCRIPTS_OF:
        return SCRIPTS_OF[name.lower()]
    if name.title() in _known():
        return (name.title(),)
    raise ArgumentError(
        f"{name!r} is no script and no language of the table; name a Unicode script such as Latin, Cyrillic "
        "or Han, or a language by its code, such as de or zho"
    )


def letters_by_script(text: str) -> Counter[str]:
    """How many letters of each script a text has.

    Examples
    --------
    >>> letters_by_script("a б 你好 42!") == {"Latin": 1, "Cyrillic": 1, "Han": 2}
    True
    """
    return Counter(script for character in text if (script := script_of(character)))


@functools.lru_cache(1 << 16)
def script_of(character: str) -> str:
    """The script of a letter; empty for other characters.

    Examples
    --------
    >>> script_of("ж"), script_of("7")
    ('Cyrillic', '')
    """
    if not character.isalpha():
        return ""
    # Python has no table of scripts; the name of a letter begins with its script.
    words = unicodedata.name(character, "").split()
    while words and words[0] in FORMS:
        words.pop(0)
    script = words[0].partition("-")[0].title() if words else ""
    return RENAMED.get(script, script)


@functools.cache
def _known() -> frozenset[str]:
    """The scripts of all letters of the basic multilingual plane."""
    return frozenset(filter(None, (script_of(chr(code)) for code in range(0x10000))))
