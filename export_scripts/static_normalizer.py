"""What the tokenizer of the static models does to a text before it looks for tokens.

``python -m export_scripts.static_normalizer FOLDER...`` writes it into bundles, and their hashes anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, normalizers

from lightmine.loading.bundle import TOKENIZER, read_manifest, write_manifest

# Characters that nobody sees: Unicode's format characters (soft hyphen, zero width space, marks of direction,
# byte order mark) but for joiners, and for the Arabic signs of number and verse, which are seen; controls;
# variation selectors; fillers of Hangul, Khmer and Mongolian.
HIDDEN = (
    r"[\p{Cf}\x{0000}-\x{0008}\x{000E}-\x{001B}\x{007F}-\x{0084}\x{0086}-\x{009F}\x{034F}\x{115F}\x{1160}"
    r"\x{17B4}\x{17B5}\x{180B}-\x{180F}\x{3164}\x{FE00}-\x{FE0F}\x{FFA0}\x{E0100}-\x{E01EF}"
    r"&&[^\x{200C}\x{200D}\x{0600}-\x{0605}\x{06DD}\x{08E2}]]"
)
# Scripts in which the zero width joiner and non-joiner tell words or letters apart, between two letters.
JOINED = "Arabic Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada Malayalam Sinhala"
LETTERS = "".join(rf"\p{{{script}}}" for script in JOINED.split())
# It begins with the joiner itself: a pattern that begins by looking back is tried at every place of a text.
JOINER = rf"[\x{{200C}}\x{{200D}}](?:(?<![{LETTERS}\p{{M}}][\x{{200C}}\x{{200D}}])|(?![{LETTERS}]))"
# Marks of vowels that Arabic and Hebrew write or leave out, and the stroke that lengthens an Arabic word. Not
# the madda and the hamza, which belong to letters.
VOWELS = (
    r"[\x{0640}\x{064B}-\x{0652}\x{0656}-\x{065F}\x{0670}\x{06D6}-\x{06DC}\x{06DF}-\x{06E4}\x{06E7}\x{06E8}"
    r"\x{06EA}-\x{06ED}\x{0591}-\x{05BD}\x{05BF}\x{05C1}\x{05C2}\x{05C4}\x{05C5}\x{05C7}]"
)


def normalizer() -> normalizers.Normalizer:
    """Hidden characters go, then NFKC and lower case, then vowel marks, and ``ß`` becomes ``ss``.

    Hidden ones go first, so that a letter and its accent meet; vowel marks after NFKC, which takes
    presentation forms apart.
    """
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(f"{HIDDEN}|{JOINER}"), ""),
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(VOWELS), ""),
            normalizers.Replace("ß", "ss"),
        ]
    )


def renormalize(folder: Path) -> None:
    """Give a bundle's tokenizer this normalizer, and its manifest the new hash."""
    path = folder / TOKENIZER
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["normalizer"] = json.loads(normalizer().__getstate__())
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    write_manifest(folder, read_manifest(folder))


def main(folders: Sequence[str]) -> None:
    for folder in folders:
        renormalize(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
