"""Options for sentences and pairs: which of them are left out, and when two lines are one text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from lightmine.cli._command import option, option_set
from lightmine.cli._inputs import read_noted
from lightmine.cli._notes import filtered_in_words, in_words
from lightmine.cli._run import RunOptions
from lightmine.encoder.encoder import Encoder
from lightmine.errors import TextError
from lightmine.io.formats import ReadOptions
from lightmine.io.sentences import Sentences
from lightmine.text.coverage import Coverage
from lightmine.text.filters import PairFilter, SentenceFilter, normalized
from lightmine.text.unique import UniqueTexts, unique_texts


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentenceOptions:
    """Which sentences are mined, and what becomes of repeated ones."""

    min_length: int | None
    max_length: int | None
    duplicates: str
    same: str
    keep_unknown: bool

    def read(
        self, path: str, reading: ReadOptions, run: RunOptions, *, script: str | None = None
    ) -> Sentences:
        """The sentences of a file that pass the filters; a note counts the others."""
        sentences = read_noted(path, reading, quiet=run.quiet)
        chosen = SentenceFilter(min_length=self.min_length, max_length=self.max_length, script=script)
        kept, left_out = chosen.apply(sentences)
        if not len(kept):
            why = f": {filtered_in_words('sentence', left_out)}" if left_out else ""
            raise TextError(f"{kept.name}: no sentence is left to mine{why}; filter less")
        if left_out:
            run.note(f"{kept.name}: {filtered_in_words('sentence', left_out)}; the others keep their numbers")
        return kept

    def known(self, sentences: Sentences, encoder: Encoder, run: RunOptions) -> Sentences:
        """The sentences, or those in scripts that the model was trained on; a note counts the others."""
        coverage = Coverage(encoder.manifest.languages)
        unknown = coverage.count(sentences.texts)
        if not unknown:
            return sentences
        total = in_words(sum(unknown.values()), "sentence")
        what = ", ".join(f"{count:,} of {reason}" for reason, count in unknown.items())
        found = f"{sentences.name}: {total} that {encoder.manifest.name} was not taught to read ({what})"
        if self.keep_unknown:
            run.note(f"{found}: their scores mean little; --drop-unknown leaves them out")
            return sentences
        known = [at for at, text in enumerate(sentences.texts) if not coverage.unknown(text)]
        if not known:
            raise TextError(f"{found}: no sentence is left to mine; --keep-unknown mines them all the same")
        run.note(f"{found} left out; the others keep their numbers")
        return sentences.take(known)

    @property
    def key(self) -> Callable[[str], str]:
        """Lines for which this function returns the same are one text."""
        return normalized if self.same == "normalized" else str

    def unique_texts(self, sentences: Sentences, run: RunOptions) -> UniqueTexts:
        """Each text once; a note counts the repeated lines."""
        texts = unique_texts(sentences, self.key)
        if repeated := len(sentences) - len(texts):
            which = "its first line" if self.duplicates == "first" else "all its lines"
            run.note(
                f"{sentences.name}: {repeated:,} lines repeat an earlier one; each text is mined once and "
                f"lists {which}"
            )
        return texts.firsts() if self.duplicates == "first" else texts


def passing(
    filter_: PairFilter,
    left: UniqueTexts,
    right: UniqueTexts,
    rows: tuple[NDArray[Any], NDArray[Any]],
    say: Callable[[str], None],
) -> NDArray[np.bool_]:
    """Which pairs pass the filters; a note counts the others."""
    if filter_ == PairFilter():
        return np.ones(len(rows[0]), bool)
    passes, left_out = filter_.apply([left.texts[i] for i in rows[0]], [right.texts[j] for j in rows[1]])
    if left_out:
        say(filtered_in_words("pair", left_out))
    return np.array(passes, bool)


def script_option(name: str, which: str) -> Callable[[Any], Any]:
    """An option that names a script; `which` are the sentences that it is for."""
    return option(
        "Filters", name, metavar="NAME", show_default="any script",
        help=f"Leave out {which} that are not in this script, such as Latin, or in no script of this "
        "language, such as de.",
    )  # fmt: skip


sentence_options = option_set(
    "sentences", SentenceOptions,
    option("Filters", "--min-length", type=click.IntRange(0), metavar="N", show_default="no limit",
           help="Leave out sentences of fewer characters."),
    option("Filters", "--max-length", type=click.IntRange(1), metavar="N", show_default="no limit",
           help="Leave out sentences of more characters."),
    option("Filters", "--duplicates", type=click.Choice(["first", "all"]), default="all",
           help="For a text that is on several lines: list the first line, or all of them."),
    option("Filters", "--same", type=click.Choice(["exact", "normalized"]), default="exact",
           help="When two lines are one text: if they have the same characters, or if they have the same "
           "letters and digits in any case."),
    option("Filters", "--keep-unknown/--drop-unknown", "keep_unknown", default=True,
           help="For sentences in scripts that the model was not trained on, or without letters and digits: "
           "mine them and count them in a note, or leave them out."),
)  # fmt: skip

pair_filters = option_set(
    "pair_filter", PairFilter,
    option("Filters", "--max-length-ratio", type=float, metavar="R", show_default="no limit",
           help="Leave out pairs if the longer text has more than R times the characters of the shorter."),
    option("Filters", "--no-copies", "copies", is_flag=True,
           help="Leave out pairs of texts that differ only in case, spaces or punctuation."),
    option("Filters", "--same-numbers", "numbers", is_flag=True,
           help="Leave out pairs of texts with different numbers."),
    option("Filters", "--same-urls", "urls", is_flag=True,
           help="Leave out pairs of texts with different URLs."),
)  # fmt: skip
