"""Options that belong together, given to a command as one object."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TextIO, cast

import click
import numpy as np
from numpy.typing import NDArray

from lightmine.cli.options import (
    Bar,
    Command,
    encode_texts,
    mining_options,
    note,
    output_format,
    read,
    write,
)
from lightmine.encoding.encoder import Encoder
from lightmine.engine.checkpoint import forget
from lightmine.engine.join import Progress
from lightmine.engine.tiles import parse_bytes
from lightmine.errors import TextError
from lightmine.margin import MARGINS
from lightmine.rules import COMPAT, ONE_TO_ONE, RANKS, RETRIEVALS, MarginOptions, margin_rule
from lightmine.texts.dedup import Distinct, distinct
from lightmine.texts.filters import PairFilter, SentenceFilter, normalized
from lightmine.texts.formats import Reading
from lightmine.texts.lines import Sentences


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
    provider: str
    verify: str
    fast: bool
    memory_budget: str
    threads: int | None
    resume: str | None = None
    cache: str | None
    quiet: bool

    def __post_init__(self) -> None:
        output_format(self.output, self.format_)
        parse_bytes(self.memory_budget)

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

    def recommended(self, encoder: Encoder, command: str) -> float | None:
        """The threshold that the model's maker recommends for a command; it is said."""
        best = encoder.manifest.thresholds.get(command)
        if best is not None:
            self.note(
                f"threshold {best:g}, which {encoder.manifest.name} recommends; --threshold none for all"
            )
        return best

    def encode(self, encoder: Encoder, texts: Sequence[str], name: str) -> NDArray[np.float32]:
        """Unit rows of texts; cut sentences are said."""
        return encode_texts(encoder, texts, name, cache=self.cache, fast=self.fast, quiet=self.quiet)

    def write(self, stream: TextIO, columns: dict[str, Any]) -> str:
        """Write pairs; returns the note to make once they are there."""
        return write(stream, self.output, columns, format_=output_format(self.output, self.format_))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Texts:
    """Which sentences count, and what becomes of repeated ones."""

    min_length: int | None
    max_length: int | None
    duplicates: str

    def read(self, path: str, reading: Reading, run: Run, *, script: str | None = None) -> Sentences:
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

    def distinct(self, sentences: Sentences, run: Run, *, same: str = "exact") -> Distinct:
        """Each text once; repeated ones are said."""
        texts = distinct(sentences, normalized if same == "normalized" else str)
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
    total = sum(left_out.values())
    return f"{total:,} {what}{'' if total == 1 else 's'} left out ({each})"


run_options = folded("run", Run, mining_options)

text_options = folded(
    "texts", Texts,
    click.option("--min-length", type=click.IntRange(0), metavar="N",
                 help="Leave out sentences of fewer characters."),
    click.option("--max-length", type=click.IntRange(1), metavar="N",
                 help="Leave out sentences of more characters."),
    click.option("--duplicates", type=click.Choice(["first", "all"]), default="all", show_default=True,
                 help="Of a text that stands on several lines, list the first line or all of them."),
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


def comparable(options: MarginOptions) -> bool:
    """Whether no threshold is asked for and margins are of the kind that models recommend one for."""
    asked = {name: value for name, value in options.items() if value is not None}
    return (
        not asked.keys() & {"threshold", "compat", "k_backward"}
        and asked.get("k", 4) == 4
        and asked.get("margin", "ratio") == "ratio"
    )


def _margin_options(**options: Any) -> MarginOptions:
    """What was asked for, checked before any work."""
    margin_rule(**options)
    return cast(MarginOptions, options)


margin_options = folded(
    "options", _margin_options,
    click.option("--compat", type=click.Choice(tuple(COMPAT)),
                 help="Mine as a peer does by default; options given beside it replace its own."),
    click.option("-k", "--k", "k", type=click.IntRange(1), metavar="N",
                 help="Neighbours of each source sentence: its candidates, and what a margin compares with.  "
                 "[default: 4]"),
    click.option("--k-backward", type=click.IntRange(1), metavar="N",
                 help="Neighbours of each target sentence.  [default: as many]"),
    click.option("--margin", type=click.Choice(MARGINS),
                 help="What a pair's cosine is to its neighbours' mean cosine.  [default: ratio]"),
    click.option("--retrieval", type=click.Choice(RETRIEVALS),
                 help="forward or backward: each sentence's best; intersect: both agree; max: either, one to "
                 "one.  [default: max]"),
    click.option("--rank", type=click.Choice(RANKS),
                 help="What makes a candidate the best.  [default: margin]"),
    click.option("--n-best", type=click.IntRange(1), metavar="N",
                 help="Candidates that each sentence proposes.  [default: 1]"),
    click.option("--one-to-one", type=click.Choice(ONE_TO_ONE),
                 help="Each sentence in one pair at most: from the best down, or for the largest sum of "
                 "margins (needs scipy). auto: greedy for max.  [default: auto]"),
    click.option("--threshold", type=number_or_none, metavar="MARGIN|none",
                 help="Only pairs whose margin is at least this.  [default for mined ratio margins of 4 "
                 "neighbours: what the model recommends, if it does]"),
    click.option("--max-score", type=float, help="Only pairs whose margin is at most this."),
)  # fmt: skip


def side_by_side(*sides: tuple[str, Distinct, NDArray[np.int64]]) -> dict[str, Any]:
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
