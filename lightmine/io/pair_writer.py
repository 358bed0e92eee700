"""Writing pairs as TSV, CSV, JSONL, Parquet, or a table for reading."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from lightmine.errors import ArgumentError
from lightmine.io.escapes import escape, join_list
from lightmine.io.formats import kind_of
from lightmine.io.output import STDOUT
from lightmine.io.parquet import parquet_bytes

FILES = ("tsv", "csv", "jsonl", "parquet")
FORMATS = (*FILES, "table")

# A result: column names and their values, all of one length, in the order of writing.
Columns = Mapping[str, Sequence[Any]]


def format_of(path: str) -> str:
    """The format of an output file, from its name; for standard output a table if it is a terminal, else TSV.

    Examples
    --------
    >>> format_of("pairs.jsonl.gz")
    'jsonl'
    """
    if path == STDOUT:
        return "table" if sys.stdout.isatty() else "tsv"
    with contextlib.suppress(ArgumentError):
        kind = kind_of(path)
        if kind.format in FILES:
            return kind.format
    raise ArgumentError(
        f"{path}: name it .tsv or .jsonl (or .csv, .parquet, .tsv.gz, .jsonl.zst...), or choose with --format"
    )


def write_pairs(stream: TextIO, columns: Columns, *, format: str) -> None:  # noqa: A002 (the option's name)
    r"""Write a result as ``tsv``, ``csv``, ``jsonl``, ``parquet`` or ``table``.

    TSV has a header; a tab, newline, carriage return or backslash in a text is written as
    ``\t``, ``\n``, ``\r`` or ``\\``. Scores are written with as many digits as
    identify a float32 number. A list of line numbers or ids is joined by commas, in TSV and CSV; in
    an id a comma is written as ``\,``, and what TSV escapes is escaped in CSV too. CSV has a header too; a
    field with a comma, a quote or a line end is quoted. Parquet is written
    to the binary stream below the text stream.

    Examples
    --------
    >>> import numpy as np, sys
    >>> write_pairs(sys.stdout, {"score": np.array([0.1], np.float32), "lines": [[1, 4]]}, format="jsonl")
    {"score": 0.1, "lines": [1, 4]}
    """
    if format == "table":
        _write_table(stream, columns)
    elif format == "jsonl":
        for row in zip(*(map(_plain, values) for values in columns.values()), strict=True):
            line = json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
            stream.write(line + "\n")
    elif format == "parquet":
        stream.flush()
        stream.buffer.write(parquet_bytes(columns, getattr(stream.buffer, "name", "-")))
    elif format == "csv":
        stream.write(",".join(columns) + "\n")
        for row in zip(*(map(_field, values) for values in columns.values()), strict=True):
            stream.write(",".join(row) + "\n")
    else:
        stream.write("\t".join(columns) + "\n")
        for row in zip(*(map(_cell, values) for values in columns.values()), strict=True):
            stream.write("\t".join(row) + "\n")


def _plain(value: Any) -> Any:
    return float(str(value)) if isinstance(value, np.floating) else value


def _field(value: Any) -> str:
    text = value if isinstance(value, str) else _cell(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in '",\r\n') else text


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return escape(value)
    return join_list(value) if isinstance(value, list) else str(value)


def _write_table(stream: TextIO, columns: Columns) -> None:
    """Write aligned columns; texts are shortened to the width of the terminal."""
    names = list(columns)
    texts = [name for name in names if len(columns[name]) and isinstance(columns[name][0], str)]
    cells = {
        name: [f"{v:.4f}" if isinstance(v, np.floating) else _printable(_cell(v)) for v in columns[name]]
        for name in names
    }
    widths = {name: max(map(display_width, [name, *cells[name]])) for name in names}
    spare = shutil.get_terminal_size((120, 24)).columns - 2 * len(names)
    spare -= sum(widths[name] for name in names if name not in texts)
    for left, name in zip(range(len(texts), 0, -1), sorted(texts, key=widths.__getitem__), strict=True):
        widths[name] = min(widths[name], max(16, spare // left))
        spare -= widths[name]
    for row in [names, *zip(*(cells[name] for name in names), strict=True)]:
        fitted = (fit(cell, widths[name], name in texts) for cell, name in zip(row, names, strict=True))
        stream.write("  ".join(fitted).rstrip() + "\n")


def _printable(text: str) -> str:
    """A text with control characters, which a terminal would obey, replaced with U+FFFD."""
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)


def display_width(text: str) -> int:
    """The width of a text on a terminal: two for wide characters, none for combining marks.

    Examples
    --------
    >>> display_width("naïve"), display_width("你好")
    (5, 4)
    """
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int, left: bool) -> str:
    """A text in exactly `width` cells: shortened with an ellipsis, or padded.

    Examples
    --------
    >>> fit("paraphrase", 6, True), fit("7", 3, False)
    ('parap…', '  7')
    """
    if display_width(text) > width:
        kept, room = [], width - 1
        for character in text:
            room -= _cells(character)
            if room < 0:
                break
            kept.append(character)
        text = "".join(kept) + "…"
    padding = " " * (width - display_width(text))
    return text + padding if left else padding + text
