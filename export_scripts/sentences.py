"""Sentences from a file: for the gate, for calibration, with gold similarities for STS."""

from __future__ import annotations

import csv
from pathlib import Path

from lightmine.errors import TextError

EVALUATION = Path(__file__).with_name("sentences.txt")


def read_sentences(path: Path = EVALUATION) -> list[str]:
    """The lines of a UTF-8 file, empty ones left out."""
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
