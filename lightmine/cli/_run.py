"""Options that belong together, given to a command as one object."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import click
import numpy as np
from numpy.typing import NDArray

from lightmine.cli._options import (
    Bar,
    Command,
    encode_texts,
    mining_options,
    note,
    output_format,
    read,
    write,
)
from lightmine.cli._paths import check_outputs, files_of
from lightmine.encoder.encoder import Encoder
from lightmine.encoder.providers import Provider
from lightmine.engine.checkpoint import forget
from lightmine.engine.job import Progress
from lightmine.engine.tiling import parse_bytes
from lightmine.errors import TextError
from lightmine.io.formats import ReadOptions
from lightmine.io.sentences import Sentences
from lightmine.loading.bundle import Verify
from lightmine.text.coverage import Coverage
from lightmine.text.filters import PairFilter, SentenceFilter, normalized
from lightmine.text.unique import UniqueTexts, unique_texts


def number_or_none(value: str) -> float:
    """A number, or none for no threshold at all, not even one that a model recommends."""
    try:
        return -math.inf if value == "none" else float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor none") from None


def folded(
    name: str, make: Callable[..., Any], *decorators: Callable[[Any], Any]
) -> Callable[[Command], Command]:
    """Options whose values become one argument: what `make` makes of them."""

    def decorate(command: Command) -> Command:
        names: list[str] = []

        @functools.wraps(command)
        def with_one(*args: Any, **values: Any) -> Any:
            values[name] = make(**{each: values.pop(each) for each in names})
            return command(*args, **values)

        known = list(getattr(with_one, "__click_params__", []))
        wrapped: Any = with_one
        for decorator in reversed(decorators):
            wrapped = decorator(wrapped)
        names += [str(option.name) for option in wrapped.__click_params__[len(known) :]]
        return wrapped  # type: ignore[no-any-return]

    return decorate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Where pairs go, by which model, within what; and what is said meanwhile."""

    output: str
    format_: str | None
    model: str | None
    provider: Provider
    verify: Verify
    fast: bool
    memory_budget: str
    threads: int | None
    prompt: str | None = None
    prompt_name: str | None = None
    resume: str | None = None
    cache: str | None
    quiet: bool

    def __post_init__(self) -> None:
        output_format(self.output, self.format_)
        parse_bytes(self.memory_budget)

    def check_outputs(self, *inputs: str | None, **outputs: str | None) -> None:
        """Refuse an output over an input, or over another output."""
        check_outputs([*inputs, *files_of(self.model)], {"--output": self.output} | outputs)

    def note(self, message: str) -> None:
        """One line for people."""
        note(message, quiet=self.quiet)

    def bar(self, label: str, unit: str) -> Progress:
        """A progress bar."""
        return Bar(label, unit, quiet=self.quiet)

    @property
    def engine(self) -> dict[str, Any]:
        """How to mine, as `lightmine.neighbors` takes it."""
        bar = self.bar("mining", "pair")
        return {
            "memory_budget": self.memory_budget, "threads": self.threads, "progress": bar,
            "resume": self.resume,
        }  # fmt: skip

    def finished(self, message: str) -> None:
        """The output is there: say so, and keep no checkpoint any more."""
        if self.resume is not None:
            forget(self.resume)
        self.note(message)

    def encoder(self) -> Encoder:
        """The model that was asked for."""
        return Encoder.load(self.model, provider=self.provider, threads=self.threads, verify=self.verify)

    def encode(self, encoder: Encoder, texts: Sequence[str], name: str) -> NDArray[np.float32]:
        """Unit rows of texts, of zeros where a text has no tokens; cut sentences are said."""
        return encode_texts(
            encoder, texts, name, cache=self.cache, quiet=self.quiet, fast=self.fast, prompt=self.prompt,
            prompt_name=self.prompt_name,
        )  # fmt: skip

    def encode_all(
        self, encoder: Encoder, texts: Sequence[str], lines: Sequence[int], name: str
    ) -> NDArray[np.float32]:
        """Unit rows of texts that all count; one without tokens is refused by its line."""
        vectors = self.encode(encoder, texts, name)
        if len(empty := np.flatnonzero(~vectors.any(axis=1))):
            raise TextError(
                f"{name}: line {lines[empty[0]]}: {encoder.manifest.name} finds no token in it; take it out"
            )
        return vectors

    def encode_distinct(
        self, encoder: Encoder, texts: UniqueTexts, name: str
    ) -> tuple[UniqueTexts, NDArray[np.float32]]:
        """Texts and their unit rows; texts without tokens are left out, and said with their lines."""
        vectors = self.encode(encoder, texts.texts, name)
        full = vectors.any(axis=1)
        if full.all():
            return texts, vectors
        lines = [line for row in np.flatnonzero(~full) for line in texts.lines[row]]
        if not full.any():
            raise TextError(f"{name}: {encoder.manifest.name} finds no token in any sentence")
        shown = ", ".join(f"{line:,}" for line in lines[:LINES_SHOWN]) + ", ..." * (len(lines) > LINES_SHOWN)
        self.note(
            f"{name}: {in_words(len(lines), 'line')} without a token of {encoder.manifest.name} left out "
            f"({shown}); the others keep their numbers"
        )
        return texts.take(np.flatnonzero(full).tolist()), vectors[full]

    def write(self, stream: TextIO, columns: dict[str, Any]) -> str:
        """Write pairs; returns the note to make once they are there."""
        return write(stream, self.output, columns, format_=output_format(self.output, self.format_))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Texts:
    """Which sentences count, and what becomes of repeated ones."""

    min_length: int | None
    max_length: int | None
    duplicates: str
    same: str
    keep_unknown: bool

    def read(self, path: str, reading: ReadOptions, run: Run, *, script: str | None = None) -> Sentences:
        """The sentences of a file that may stay; what is left out is counted and said."""
        sentences = read(path, reading, quiet=run.quiet)
        wanted = SentenceFilter(min_length=self.min_length, max_length=self.max_length, script=script)
        kept, left_out = wanted.apply(sentences)
        if not len(kept):
            why = f": {counts('sentence', left_out)}" if left_out else ""
            raise TextError(f"{kept.name}: no sentence is left to mine{why}; filter less")
        if left_out:
            run.note(f"{kept.name}: {counts('sentence', left_out)}; the others keep their numbers")
        return kept

    def known(self, sentences: Sentences, encoder: Encoder, run: Run) -> Sentences:
        """The sentences in scripts that the model was taught, or all of them; unknown ones are said."""
        coverage = Coverage(encoder.manifest.languages)
        unknown = coverage.count(sentences.texts)
        if not unknown:
            return sentences
        total = in_words(sum(unknown.values()), "sentence")
        what = ", ".join(f"{count:,} of {reason}" for reason, count in unknown.items())
        taught = f"{sentences.name}: {total} that {encoder.manifest.name} was not taught to read ({what})"
        if self.keep_unknown:
            run.note(f"{taught}: their scores mean little; --drop-unknown leaves them out")
            return sentences
        known = [at for at, text in enumerate(sentences.texts) if not coverage.unknown(text)]
        if not known:
            raise TextError(f"{taught}: no sentence is left to mine; --keep-unknown mines them all the same")
        run.note(f"{taught} left out; the others keep their numbers")
        return sentences.take(known)

    @property
    def key(self) -> Callable[[str], str]:
        """What two lines have in common that count as one text."""
        return normalized if self.same == "normalized" else str

    def unique_texts(self, sentences: Sentences, run: Run) -> UniqueTexts:
        """Each text once; repeated ones are said."""
        texts = unique_texts(sentences, self.key)
        if repeated := len(sentences) - len(texts):
            which = "its first line" if self.duplicates == "first" else "all its lines"
            run.note(
                f"{sentences.name}: {repeated:,} lines repeat an earlier one; each text is mined once and "
                f"lists {which}"
            )
        return texts.firsts() if self.duplicates == "first" else texts


def counts(what: str, left_out: dict[str, int]) -> str:
    """What filters left out, in words.

    Examples
    --------
    >>> counts("pair", {"near-copies": 1, "other numbers": 1200})
    '1,201 pairs left out (1 near-copies, 1,200 other numbers)'
    """
    each = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
    return f"{in_words(sum(left_out.values()), what)} left out ({each})"


def in_words(count: int, what: str) -> str:
    """A count and its noun.

    Examples
    --------
    >>> in_words(1, "pair"), in_words(1200, "pair")
    ('1 pair', '1,200 pairs')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


# Line numbers that a note names.
LINES_SHOWN = 5

run_options = folded("run", Run, mining_options)

text_options = folded(
    "texts", Texts,
    click.option("--min-length", type=click.IntRange(0), metavar="N",
                 help="Leave out sentences of fewer characters."),
    click.option("--max-length", type=click.IntRange(1), metavar="N",
                 help="Leave out sentences of more characters."),
    click.option("--duplicates", type=click.Choice(["first", "all"]), default="all", show_default=True,
                 help="Of a text that stands on several lines, list the first line or all of them."),
    click.option("--same", type=click.Choice(["exact", "normalized"]), default="exact", show_default=True,
                 help="What counts as one text: the same characters, or the same letters and digits in any "
                 "case."),
    click.option("--keep-unknown/--drop-unknown", "keep_unknown", default=True, show_default=True,
                 help="Sentences in scripts that the model was not taught, or without letters and digits: "
                 "mine them and say how many there are, or leave them out."),
)  # fmt: skip

pair_filters = folded(
    "keep", PairFilter,
    click.option("--max-length-ratio", type=float, metavar="R",
                 help="Leave out pairs whose longer text has over R times the characters of the shorter."),
    click.option("--no-copies", "copies", is_flag=True,
                 help="Leave out pairs whose texts are the same but for case, spaces and punctuation."),
    click.option("--same-numbers", "numbers", is_flag=True, help="Leave out pairs whose numbers differ."),
    click.option("--same-urls", "urls", is_flag=True, help="Leave out pairs whose URLs differ."),
)  # fmt: skip


def side_by_side(*sides: tuple[str, UniqueTexts, NDArray[np.int64]]) -> dict[str, Any]:
    """Line numbers of both sides, then ids where there are ids, then texts of both sides."""
    columns: dict[str, Any] = {}
    for name, texts, rows in sides:
        columns[f"{name}_lines"] = [texts.lines[row] for row in rows]
    for name, texts, rows in sides:
        if texts.ids is not None:
            columns[f"{name}_ids"] = [texts.ids[row] for row in rows]
    for name, texts, rows in sides:
        columns[f"{name}_text"] = [texts.texts[row] for row in rows]
    return columns
