"""Readers of evaluation data: gold pairs, mined pairs and scored sentence pairs."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lightmine.errors import TextError, one_line
from lightmine.io.escapes import split_list
from lightmine.io.formats import ReadOptions, kind_of
from lightmine.io.sentences import read_sentences, stream_rows

# Gold is read as lines, whatever its name; the columns are split here.
LINES = ReadOptions(format="txt")
# Names of id columns in the header of gold.
NAMED = re.compile(
    r"(?i)(.*_)?q?ids?_?[12]?|(left|right|source|target|src|tgt)(_.*)?|(sentence|text|question)s?_?[12]?"
)


def _lines(reading: ReadOptions) -> ReadOptions:
    """Options for lines in the same encoding."""
    return dataclasses.replace(LINES, encoding=reading.encoding, errors=reading.errors)


@dataclasses.dataclass(frozen=True)
class Gold:
    """The gold pairs of a file, as rows of the two sides.

    Attributes
    ----------
    pairs : list of (int, int)
    name : str
        What messages call the file.
    header : str
        The first line if it is a header, else empty.
    rejected : int
        Pairs whose label says that they are not true.
    """

    pairs: list[tuple[int, int]]
    name: str = "gold"
    header: str = ""
    rejected: int = 0

    def notes(self) -> Iterator[str]:
        """Notes for the user."""
        if self.header:
            yield f"{self.name}: line 1 ({one_line(self.header)}) is taken for a header"
        if self.rejected:
            yield f"{self.name}: {self.rejected:,} pairs are labelled as not true, and are left out"


# Labels in the third column of gold.
LABELS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def read_gold(
    path: str | Path,
    left: Mapping[str, int],
    right: Mapping[str, int],
    *,
    what: str = "id",
    reading: ReadOptions = LINES,
) -> Gold:
    r"""Read pairs, id TAB id a line (BUCC's gold), as rows of the two sides.

    A third column may label each pair as true or not (1 or 0, true or false, yes or no); pairs that are not
    true are left out and counted. The first line is a header if no sentence has its two names as ids and the
    second line has a known id.

    Parameters
    ----------
    path : path
        A text file, plain or compressed; ``-`` is standard input.
    left, right : mappings
        The row of each id.
    what : str
        What messages call an id.
    reading : ReadOptions
        Only its encoding is used.

    Raises
    ------
    TextError
        No such file, a line without two ids, an unknown id, a third column that is no label, or more columns;
        the message names the line.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "gold")
    >>> _ = path.write_text("de\ten\tsame\nde-1\ten-7\t1\nde-1\ten-8\t0\n")
    >>> gold = read_gold(path, {"de-1": 0}, {"en-7": 3, "en-8": 4})
    >>> gold.pairs, gold.rejected, gold.header
    ([(0, 3)], 1, 'de en same')
    """
    lines = read_sentences(path, _lines(reading))
    rows = [[field.strip() for field in text.split("\t")] for text in lines.texts]
    header = _header(rows, left, right)
    pairs: list[tuple[int, int]] = []
    rejected = 0
    for fields, line in list(zip(rows, lines.lines, strict=True))[bool(header) :]:
        where = f"{lines.name}: line {line}"
        if len(fields) < 2:
            raise TextError(f"{where} has no tab; two {what}s with a tab between are needed")
        true = _label(fields[2:], where, what)
        for name, side, ids in (("left", fields[0], left), ("right", fields[1], right)):
            if side not in ids:
                raise TextError(f"{where}: no {name} sentence has the {what} {side!r}")
        if true:
            pairs.append((left[fields[0]], right[fields[1]]))
        rejected += not true
    if not pairs:
        raise TextError(f"{lines.name}: holds no pairs" + " that are labelled as true" * bool(rejected))
    return Gold(pairs, lines.name, header, rejected)


def _header(rows: list[list[str]], left: Mapping[str, int], right: Mapping[str, int]) -> str:
    """The first line if it is a header: its ids are unknown, and one of the second line is known."""
    if len(rows) < 2 or min(len(rows[0]), len(rows[1])) < 2:
        return ""
    if "" in left:
        # Any id is accepted, since only mined pairs are known: the names decide.
        return " ".join(rows[0]) if all(map(NAMED.fullmatch, rows[0][:2])) else ""
    known = [fields[0] in left or fields[1] in right for fields in rows[:2]]
    return " ".join(rows[0]) if known == [False, True] else ""


def _label(rest: list[str], where: str, what: str) -> bool:
    """Whether a pair is true, by the columns after its ids."""
    if not any(rest):
        return True
    if len(rest) > 1 and any(rest[1:]):
        raise TextError(f"{where} has {len(rest) + 2} columns; two {what}s are needed, or a label more")
    if rest[0].lower() not in LABELS:
        raise TextError(
            f"{where}: {rest[0]!r} in the third column is no label (1 or 0, true or false, yes or no); keep "
            f"the two columns of {what}s: cut -f 1,2"
        )
    return LABELS[rest[0].lower()]


def read_mined(path: str | Path, reading: ReadOptions = LINES) -> tuple[list[tuple[str, str]], list[float]]:
    """Read mined pairs: id TAB id, or id TAB id TAB score, or what bitext --id-column wrote.

    Without a score each pair has score 1. If a text has several ids, each combination is a pair.

    Raises
    ------
    TextError
        No such file, a line without two ids, more columns after the score, or a score that is not a finite
        number; the message names the line.
    """
    name, rows = _mined_rows(path, reading)
    ours = bool(rows) and tuple(rows[0][1][:2]) == ("margin", "cosine")
    columns = rows[0][1] if ours else ["source_ids", "target_ids", "margin"]
    if not {"source_ids", "target_ids"} <= set(columns):
        raise TextError(f"{name}: has no ids; mine it with --id-column")
    left, right, score = (columns.index(column) for column in ("source_ids", "target_ids", "margin"))
    pairs, scores = [], []
    for line, fields in rows[int(ours) :]:
        where = f"{name}: line {line}"
        if len(fields) <= max(left, right):
            raise TextError(f"{where} has no tab; two ids with a tab between are needed")
        if any(field.strip() for field in fields[len(columns) :]):
            raise TextError(f"{where} has {len(fields)} columns; two ids are needed, and perhaps a score")
        try:
            value = float(fields[score]) if len(fields) > score else 1.0
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise TextError(f"{where}: {fields[score]!r} is not a score")
        sides = [split_list(fields[at]) if ours else [fields[at].strip()] for at in (left, right)]
        for a in sides[0]:
            for b in sides[1]:
                pairs.append((a, b))
                scores.append(value)
    return pairs, scores


def _mined_rows(path: str | Path, reading: ReadOptions) -> tuple[str, list[tuple[int, list[str]]]]:
    """The columns of each line that is not blank, from CSV or else from TSV."""
    if kind_of(str(path)).format == "csv":
        name, blocks = stream_rows(str(path), dataclasses.replace(_lines(reading), format="csv"))
        return name, [row for block in blocks for row in block if any(row[1])]
    lines = read_sentences(path, _lines(reading))
    return lines.name, [(line, text.split("\t")) for text, line in zip(lines.texts, lines.lines, strict=True)]


def read_scored(
    path: str | Path, reading: ReadOptions = LINES
) -> tuple[Sequence[str], Sequence[str], list[float], str]:
    """Read sentence pairs with human scores: two texts and a number, as CSV, or as TSV from a .tsv file.

    The fourth part of the result is the first row if it is a header, else empty.

    Raises
    ------
    TextError
        No such file, no row, or a row without two texts and a number; the message names it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "sts.csv")
    >>> _ = path.write_text('"A dog, barking.",A dog barks.,4.8')
    >>> read_scored(path)
    (['A dog, barking.'], ['A dog barks.'], [4.8], '')
    """
    kind = "tsv" if kind_of(str(path)).format == "tsv" else "csv"
    name, rows = stream_rows(str(path), dataclasses.replace(_lines(reading), format=kind))
    left, right, scores = [], [], []
    header = ""
    for number, (line, row) in enumerate((row for block in rows for row in block), start=1):
        if len(row) == 1 and not row[0].strip():
            continue
        try:
            value = float(row[2])
        except (IndexError, ValueError):
            if number == 1 and len(row) > 2:
                header = " ".join(row)
                continue
            raise TextError(f"{name}: line {line}: two sentences and a score are needed") from None
        if any(field.strip() for field in row[3:]):
            raise TextError(
                f"{name}: line {line} has {len(row)} columns; two sentences and a score are needed, no more"
            )
        left.append(row[0])
        right.append(row[1])
        scores.append(value)
    if not scores:
        raise TextError(f"{name}: has no scored pair; two sentences and a score a row are needed")
    return left, right, scores, header
