"""Sentences from files: for the gate, for calibration, and pairs with gold similarities for STS."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from lightmine.errors import TextError

CALIBRATION = Path(__file__).with_name("calibration.txt")
# One file for each language, named by its code, and `any` for text of no language: numbers, code, symbols.
EVALUATION = Path(__file__).with_name("evaluation")
NO_LANGUAGE = "any"
# With fewer sentences in a model's own languages, those of all languages are taken.
ENOUGH = 50


def evaluation_sentences(languages: Iterable[str] = ()) -> tuple[list[str], tuple[str, ...]]:
    """Our sentences for a model of these languages, and the languages that they are in.

    All sentences if the model states no language, or if there are too few in those that it states.

    Examples
    --------
    >>> sentences, found = evaluation_sentences(["en"])
    >>> len(sentences), found
    (118, ('en',))
    >>> evaluation_sentences()[1] == evaluation_sentences(["sw"])[1] == evaluation_sentences(["xx"])[1]
    True
    """
    ours = {path.stem: read_sentences(path) for path in sorted(EVALUATION.glob("*.txt"))}
    shared = ours.pop(NO_LANGUAGE)
    # en, en-GB and en_US are one.
    wanted = {code.lower().replace("_", "-").split("-")[0] for code in languages}
    own = {code: some for code, some in ours.items() if code in wanted}
    chosen = own if sum(map(len, own.values())) >= ENOUGH else ours
    return [*(sentence for some in chosen.values() for sentence in some), *shared], tuple(chosen)


def read_sentences(path: Path) -> list[str]:
    """The lines of a UTF-8 file that are not empty."""
    sentences = [line.removesuffix("\r") for line in _text(path).split("\n") if line.strip()]
    if not sentences:
        raise TextError(f"{path} has no sentences")
    return sentences


def read_scored_pairs(path: Path) -> tuple[list[str], list[str], list[float]]:
    """Two columns of sentences and one of scores from a CSV or TSV file, with or without a header."""
    separator = "\t" if path.suffix == ".tsv" else ","
    rows = [row for row in csv.reader(_text(path).splitlines(), delimiter=separator) if row]
    if rows and len(rows[0]) >= 3 and _number(rows[0][2]) is None:
        rows = rows[1:]
    left, right, scores = [], [], []
    for number, row in enumerate(rows, start=1):
        score = _number(row[2]) if len(row) >= 3 else None
        if score is None:
            raise TextError(f"{path}: row {number} is not two sentences and a score: {row!r:.80}")
        left.append(row[0])
        right.append(row[1])
        scores.append(score)
    if len(scores) < 2:
        raise TextError(f"{path} has no scored pairs")
    return left, right, scores


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TextError(f"{path} is not UTF-8: byte {error.start} cannot be decoded") from error


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
