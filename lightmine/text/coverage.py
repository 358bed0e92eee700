"""Finds texts that a model was not trained for: texts in other scripts than those of its languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lightmine.text.scripts import SCRIPTS_OF, letters_by_script, script_of

NO_LETTERS = "neither letters nor digits"


class Coverage:
    """Tells which texts are in other scripts than those of a model's languages.

    A text counts as unknown if more than half of its letters are of other scripts, or if it has neither
    letters nor digits (a line of emoji or dashes). The model gives vectors for such texts too, but their
    scores mean little. Languages that share a script are not told apart.

    Parameters
    ----------
    languages : sequence of str
        Language codes, as in a manifest. Without languages, or with one that is not in the table, no text
        counts as unknown.

    Examples
    --------
    >>> coverage = Coverage(["en", "ru"])
    >>> coverage.unknown("Где вокзал?"), coverage.unknown("駅はどこ?"), coverage.unknown("🙂🙂")
    ('', 'Han and Hiragana script', 'neither letters nor digits')
    """

    def __init__(self, languages: Sequence[str]) -> None:
        codes = [code.partition("-")[0].lower() for code in languages]
        self._scripts: set[str] = set()
        if all(code in SCRIPTS_OF for code in codes):
            self._scripts.update(script for code in codes for script in SCRIPTS_OF[code])
        # Characters seen so far: those that are of no other script, and those that are letters or digits.
        self._harmless: set[str] = set()
        self._readable: set[str] = set()

    def unknown(self, text: str) -> str:
        """Why a text is unknown to the model; empty if it is not."""
        if not self._scripts:
            return ""
        if not self._harmless.issuperset(text):
            for character in set(text) - self._harmless:
                if script_of(character) in ("", *self._scripts):
                    self._harmless.add(character)
                if character.isalnum():
                    self._readable.add(character)
            if not self._harmless.issuperset(text) and (other := self._other_scripts(text)):
                return other
        return NO_LETTERS if self._readable.isdisjoint(text) else ""

    def _other_scripts(self, text: str) -> str:
        """The other scripts, if more than half of the letters are of them."""
        counts = letters_by_script(text)
        other = sorted(script for script in counts if script not in self._scripts)
        if 2 * sum(counts[script] for script in other) <= sum(counts.values()):
            return ""
        return f"{' and '.join(other)} script"

    def count(self, texts: Iterable[str]) -> dict[str, int]:
        """How many texts are unknown, by the reason; the most common first."""
        found = Counter(reason for text in texts if (reason := self.unknown(text)))
        return dict(found.most_common())
