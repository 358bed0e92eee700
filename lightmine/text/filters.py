"""Filters of sentences and of pairs. Each is off by default, and counts what it leaves out.

Sentences are filtered before mining (length, script), pairs after it (length ratio, near-copies, numbers,
URLs).
"""

from __future__ import annotations

import dataclasses
import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from lightmine.errors import ArgumentError
from lightmine.io.sentences import Sentences
from lightmine.text.scripts import letters_by_script, scripts_of

Item = TypeVar("Item")

URL = re.compile(r"(?:https?://|www\.)[^\s<>\"'()\[\]{}]+", re.IGNORECASE)
# Digits in groups of three, or with a decimal mark: 1,234.5 and 1.234,5 and 1 234,5 are one number.
NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f ]\d{3}(?!\d))*(?:[.,]\d+)*")
MARKS = re.compile(r"\D")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentenceFilter:
    """Conditions for a sentence to be mined. Lengths are in characters.

    ``script`` is a Unicode script (Latin, Han...) or a language code, which stands for the scripts of the
    language: at least half of the letters of a sentence must be of them. Sentences without letters pass.
    """

    min_length: int | None = None
    max_length: int | None = None
    script: str | None = None

    def apply(self, sentences: Sentences) -> tuple[Sentences, dict[str, int]]:
        """The sentences that pass, and how many each filter left out.

        Examples
        --------
        >>> sentences = Sentences("x", ["Yes.", "A longer sentence.", "Ещё одна."], [1, 2, 3], 3)
        >>> kept, left_out = SentenceFilter(min_length=6, script="Latin").apply(sentences)
        >>> kept.texts, left_out
        (['A longer sentence.'], {'shorter than 6 characters': 1, 'not in Latin script': 1})
        """
        checks: list[tuple[str, Callable[[str], bool]]] = []
        if (shortest := self.min_length) is not None:
            checks.append((f"shorter than {shortest} characters", lambda text: len(text.strip()) < shortest))
        if (longest := self.max_length) is not None:
            checks.append((f"longer than {longest} characters", lambda text: len(text.strip()) > longest))
        if self.script is not None:
            wanted = scripts_of(self.script)
            checks.append(
                (f"not in {' or '.join(wanted)} script", lambda text: _is_in_other_script(text, wanted))
            )
        if not checks:
            return sentences, {}
        reasons = [first_reason(checks, text) for text in sentences.texts]
        return sentences.take([at for at, reason in enumerate(reasons) if not reason]), count_reasons(reasons)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairFilter:
    """Conditions for a pair to be written.

    Attributes
    ----------
    max_length_ratio : float or None
        The largest ratio of the characters of the longer text to those of the shorter one.
    copies, numbers, urls : bool
        Whether to leave out pairs whose texts are equal after normalizing, have different numbers, or have
        different URLs.
    """

    max_length_ratio: float | None = None
    copies: bool = False
    numbers: bool = False
    urls: bool = False

    def __post_init__(self) -> None:
        if self.max_length_ratio is not None and not self.max_length_ratio >= 1:
            raise ArgumentError(f"a length ratio is at least 1, not {self.max_length_ratio}")

    def apply(self, left: Sequence[str], right: Sequence[str]) -> tuple[list[bool], dict[str, int]]:
        """Which pairs pass, and how many each filter left out (only the first that applies counts).

        Examples
        --------
        >>> PairFilter(copies=True, numbers=True).apply(["Hello!", "At 9:15"], ["hello", "Um 9:45"])
        ([False, False], {'near-copies': 1, 'other numbers': 1})
        """
        checks: list[tuple[str, Callable[[tuple[str, str]], bool]]] = []
        if self.copies:
            checks.append(("near-copies", lambda pair: normalized(pair[0]) == normalized(pair[1])))
        if (ratio := self.max_length_ratio) is not None:
            checks.append((f"length ratio over {ratio:g}", lambda pair: _ratio(*pair) > ratio))
        if self.numbers:
            checks.append(("other numbers", lambda pair: numbers_in(pair[0]) != numbers_in(pair[1])))
        if self.urls:
            checks.append(("other URLs", lambda pair: urls_in(pair[0]) != urls_in(pair[1])))
        reasons = [first_reason(checks, pair) for pair in zip(left, right, strict=True)]
        return [not reason for reason in reasons], count_reasons(reasons)


def first_reason(checks: Sequence[tuple[str, Callable[[Item], bool]]], item: Item) -> str:
    """The name of the first check that leaves an item out; empty if none does."""
    return next((name for name, leaves_out in checks if leaves_out(item)), "")


def count_reasons(reasons: Sequence[str]) -> dict[str, int]:
    """How often each reason occurs, in the order of the first occurrence."""
    return dict(Counter(reason for reason in reasons if reason))


@functools.lru_cache(1 << 16)
def normalized(text: str) -> str:
    """A text in the form in which near-copies are equal: NFKC, case folded, only letters and digits.

    A text without letters and digits is only case folded and stripped.

    Examples
    --------
    >>> normalized("It’s  10 o'clock!") == normalized("Its 10 O'Clock")
    True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, folded)) or folded.strip()


def numbers_in(text: str) -> Counter[str]:
    """The numbers of a text by their digits, without regard to script and grouping.

    Examples
    --------
    >>> numbers_in("1,234.5 at 9:15") == numbers_in("um 9:15 1.234,5")
    True
    >>> sorted(numbers_in("١٢ of 3"))
    ['12', '3']
    """
    digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in URL.sub(" ", text))
    return Counter(MARKS.sub("", number) for number in NUMBER.findall(digits))


def urls_in(text: str) -> Counter[str]:
    """The URLs of a text, without the punctuation after them.

    Examples
    --------
    >>> urls_in("See https://example.org/a, or www.example.org.") == Counter(
    ...     ["https://example.org/a", "www.example.org"])
    True
    """
    return Counter(url.rstrip(".,;:!?。，；：！？…") for url in URL.findall(text))


def _ratio(left: str, right: str) -> float:
    shorter, longer = sorted((len(left.strip()), len(right.strip())))
    return longer / max(shorter, 1)


def _is_in_other_script(text: str, wanted: tuple[str, ...]) -> bool:
    counts = letters_by_script(text)
    letters = sum(counts.values())
    return letters > 0 and 2 * sum(counts[script] for script in wanted) < letters
