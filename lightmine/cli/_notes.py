"""Notes for people, on standard error."""

from __future__ import annotations

import sys

from lightmine.encoder.encoder import Encoder
from lightmine.io.formats import ReadOptions
from lightmine.io.sentences import Sentences, SentenceStream


def note(message: str, *, quiet: bool) -> None:
    """Write one line to standard error, unless the user wants none."""
    if not quiet:
        print(f"lightmine: {message}", file=sys.stderr)


def note_reading(
    read: Sentences | SentenceStream, sentences: int, reading: ReadOptions, *, quiet: bool
) -> None:
    """Report what was left out and what was replaced in a file that was read to its end."""
    if read.bom:
        note(f"{read.name}: a byte order mark at its start is left out", quiet=quiet)
    if read.replaced:
        what = f"{read.replaced:,} times bytes that are not {reading.encoding.upper()}"
        note(f"{read.name}: {what} were replaced by U+FFFD", quiet=quiet)
    for what, count in read.remarks.items():
        note(f"{read.name}: {count:,} {what}", quiet=quiet)
    if blank := read.total - sentences:
        what = "blank lines" if reading.text_column is None else "records without a sentence"
        note(f"{read.name}: {blank:,} {what} left out; the others keep their numbers", quiet=quiet)


def note_truncated(encoder: Encoder, name: str, cut: int, *, max_tokens: int | None, quiet: bool) -> None:
    """Report how many sentences were longer than the limit."""
    if cut:
        whose = f"{max_tokens} tokens" if max_tokens else f"the model's {encoder.manifest.max_tokens} tokens"
        note(f"{name}: {cut:,} sentences are longer than {whose} and were cut there", quiet=quiet)


def filtered_in_words(what: str, left_out: dict[str, int]) -> str:
    """How many sentences or pairs filters left out, and why.

    Examples
    --------
    >>> filtered_in_words("pair", {"near-copies": 1, "other numbers": 1200})
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
