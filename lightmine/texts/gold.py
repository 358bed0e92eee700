"""Gold pairs, mined pairs and scored sentence pairs, as evaluation sets hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightmine.errors import TextError
from lightmine.texts.formats import Reading, kind_of
from lightmine.texts.lines import read_sentences, stream_rows
from lightmine.texts.pairs import unescaped

# Whatever the name says: their columns are taken apart here.
LINES = Reading(format="txt")
HEADER = "margin\tcosine\t"


def _lines(reading: Reading) -> Reading:
    """Lines of the same encoding."""
    return dataclasses.replace(LINES, encoding=reading.encoding, errors=reading.errors)


def read_gold(
    path: str | Path,
    left: Mapping[str, int],
    right: Mapping[str, int],
    *,
    what: str = "id",
    reading: Reading = LINES,
) -> list[tuple[int, int]]:
    r"""Read pairs, id TAB id a line (BUCC's gold), as rows of the two sides.

    Parameters
    ----------
    path : path
        A text file, plain or ``.gz``; ``-`` is standard input. What follows a second tab is not looked at.
    left, right : mappings
        From ids to rows.
    what : str
        What messages call an id.
    reading : Reading
        In which encoding; nothing else of it is asked.

    Raises
    ------
    TextError
        No such file, a line without two ids, or an id that no sentence has; the message names the line.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "gold")
    >>> _ = path.write_text("de-1\ten-7\n")
    >>> read_gold(path, {"de-1": 0}, {"en-7": 3})
    [(0, 3)]
    """
    lines = read_sentences(path, _lines(reading))
    pairs = []
    for text, line in zip(lines.texts, lines.lines, strict=True):
        fields = text.split("\t")
        if len(fields) < 2:
            raise TextError(
                f"{lines.name}: line {line} has no tab; two {what}s with a tab between are needed"
            )
        for side, name, rows in ((0, "left", left), (1, "right", right)):
            if fields[side].strip() not in rows:
                raise TextError(
                    f"{lines.name}: line {line}: no {name} sentence has the {what} {fields[side].strip()!r}"
                )
        pairs.append((left[fields[0].strip()], right[fields[1].strip()]))
    if not pairs:
        raise TextError(f"{lines.name}: holds no pairs")
    return pairs


def read_mined(path: str | Path, reading: Reading = LINES) -> tuple[list[tuple[str, str]], list[float]]:
    """Read mined pairs: id TAB id, with TAB score or without, or the TSV of ``lightmine bitext --id-column``.

    Without a score all pairs have the score 1. Of a text with several ids every combination is a pair.

    Raises
    ------
    TextError
        No such file, a line without two ids, or a score that is no number; the message names the line.
    """
    lines = read_sentences(path, _lines(reading))
    ours = bool(lines.texts) and lines.texts[0].startswith(HEADER)
    columns = lines.texts[0].split("\t") if ours else ["source_ids", "target_ids", "margin"]
    if not {"source_ids", "target_ids"} <= set(columns):
        raise TextError(f"{lines.name}: has no ids; mine it with --id-column")
    left, right, score = (columns.index(name) for name in ("source_ids", "target_ids", "margin"))
    pairs, scores = [], []
    for text, line in list(zip(lines.texts, lines.lines, strict=True))[int(ours) :]:
        fields = text.split("\t")
        if len(fields) <= max(left, right):
            raise TextError(f"{lines.name}: line {line} has no tab; two ids with a tab between are needed")
        try:
            value = float(fields[score]) if len(fields) > score else 1.0
        except ValueError:
            raise TextError(f"{lines.name}: line {line}: {fields[score]!r} is not a score") from None
        sides = [unescaped(fields[at]).split(",") if ours else [fields[at].strip()] for at in (left, right)]
        for a in sides[0]:
            for b in sides[1]:
                pairs.append((a, b))
                scores.append(value)
    return pairs, scores


def read_scored(
    path: str | Path, reading: Reading = LINES
) -> tuple[Sequence[str], Sequence[str], list[float]]:
    """Read sentence pairs with human scores: two texts and a number, as CSV, or as TSV from a .tsv file.

    Raises
    ------
    TextError
        No such file, no row, or one that has not two texts and a number; the message names it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "sts.csv")
    >>> _ = path.write_text('"A dog, barking.",A dog barks.,4.8')
    >>> read_scored(path)
    (['A dog, barking.'], ['A dog barks.'], [4.8])
    """
    kind = "tsv" if kind_of(str(path)).format == "tsv" else "csv"
    name, rows = stream_rows(str(path), dataclasses.replace(_lines(reading), format=kind))
    left, right, scores = [], [], []
    for number, (line, row) in enumerate((row for block in rows for row in block), start=1):
        if len(row) == 1 and not row[0].strip():
            continue
        try:
            value = float(row[2])
        except (IndexError, ValueError):
            if number == 1 and len(row) > 2:
                continue  # a header
            raise TextError(f"{name}: line {line}: two sentences and a score are needed") from None
        left.append(row[0])
        right.append(row[1])
        scores.append(value)
    if not scores:
        raise TextError(f"{name}: has no scored pair; two sentences and a score a row are needed")
    return left, right, scores
