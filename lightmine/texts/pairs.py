"""Writing pairs as TSV, JSONL or a table for reading."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lightmine.errors import ArgumentError
from lightmine.texts.output import STDOUT

FORMATS = ("tsv", "jsonl", "table")

# A result: column names and their values, all of one length, in the order they are written.
Columns = Mapping[str, Sequence[Any]]

ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def format_of(path: str) -> str:
    """The format that a path's ending asks for; standard output gets a table on a terminal.

    Examples
    --------
    >>> format_of("pairs.jsonl.gz")
    'jsonl'
    """
    if path == STDOUT:
        return "table" if sys.stdout.isatty() else "tsv"
    ending = Path(path.removesuffix(".gz")).suffix.removeprefix(".")
    if ending not in ("tsv", "jsonl"):
        raise ArgumentError(
            f"{path}: name it .tsv or .jsonl (or .tsv.gz, .jsonl.gz), or choose with --format"
        )
    return ending


def write_pairs(stream: TextIO, columns: Columns, *, format: str) -> None:  # noqa: A002 (the option's name)
    r"""Write a result as ``tsv``, ``jsonl`` or ``table``.

    TSV has a header; a tab, newline, carriage return or backslash within a text is written as
    ``\t``, ``\n``, ``\r`` or ``\\``. Scores are written with as many digits as tell them apart from
    every other float32 number. A list of line numbers is joined by commas.

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
    else:
        stream.write("\t".join(columns) + "\n")
        for row in zip(*(map(_cell, values) for values in columns.values()), strict=True):
            stream.write("\t".join(row) + "\n")


def _plain(value: Any) -> Any:
    return float(str(value)) if isinstance(value, np.floating) else value


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value.translate(ESCAPES)
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _write_table(stream: TextIO, columns: Columns) -> None:
    """Columns aligned for reading; texts share the terminal's width and are cut with an ellipsis."""
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
    """Control characters, which could drive a terminal, shown as a replacement mark."""
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)


def display_width(text: str) -> int:
    """Terminal cells that a text takes: two for wide characters, none for combining marks.

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
    """A text in exactly `width` cells: cut with an ellipsis, or padded.

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
