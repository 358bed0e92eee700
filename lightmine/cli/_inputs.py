"""How the files that a command is given are read."""

from __future__ import annotations

import dataclasses

import click

from lightmine.cli._run import folded
from lightmine.errors import ArgumentError
from lightmine.io.formats import ERRORS, Column, ReadOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """Format, columns and encoding of a command's files; what is given twice is for one file each."""

    input_format: tuple[str, ...] = ()
    text_column: tuple[str, ...] = ()
    id_column: tuple[str, ...] = ()
    header: bool = False
    encoding: tuple[str, ...] = ()
    delimiter: tuple[str, ...] = ()
    errors: str = "strict"

    def __post_init__(self) -> None:
        self.readings(2, gold=True)

    def readings(self, files: int, *, gold: bool = False) -> list[ReadOptions]:
        """How each of so many files is read; and last, where there is gold, in which encoding that is."""
        each = {
            name: _for_each(name, values, files + (gold and name == "encoding"))
            for name, values in dataclasses.asdict(self).items()
            if isinstance(values, tuple)
        }
        readings = [
            ReadOptions(
                format=each["input_format"][at],
                text_column=_column(each["text_column"][at]),
                id_column=_column(each["id_column"][at]),
                header=self.header,
                encoding=each["encoding"][at] or "utf-8",
                errors=self.errors,
                delimiter=_TABS.get(each["delimiter"][at] or "", each["delimiter"][at]),
            )
            for at in range(files)
        ]
        if gold:
            readings.append(ReadOptions(encoding=each["encoding"][-1] or "utf-8", errors=self.errors))
        return readings


def _for_each(name: str, values: tuple[str, ...], files: int) -> list[str | None]:
    if len(values) > max(files, 1):
        option = "--" + name.replace("_", "-")
        raise ArgumentError(f"{option} is given {len(values)} times; give it once, or once for each file")
    return [values[min(at, len(values) - 1)] if values else None for at in range(files)]


# A tab is hard to type.
_TABS = {"tab": "\t", "\\t": "\t"}


def _column(value: str | None) -> Column | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() else value


_encodings = (
    click.option("--encoding", multiple=True, metavar="NAME",
                 help="Of the text; of gold too, unless it has one of its own.  [default: utf-8]"),
    click.option("--errors", type=click.Choice(ERRORS), default="strict", show_default=True,
                 help="Refuse what is not of the encoding, or replace it by U+FFFD and count it."),
)  # fmt: skip

# Where the format is settled.
encoding_options = folded("inputs", Inputs, *_encodings)

reading_options = folded(
    "inputs", Inputs,
    click.option("--input-format", multiple=True, metavar="FORMAT",
                 help="txt, tsv, csv, jsonl, json or parquet, with .gz, .bz2, .xz or .zst behind it or not.  "
                 "[default: what the file's name ends with]"),
    click.option("--text-column", "--text-field", "text_column", multiple=True, metavar="N|NAME",
                 help="Where the sentence is: a column counted from 1, or by its name in the first line; a "
                 "field of JSONL or JSON.  [default: the line, or the field named text]"),
    click.option("--id-column", "--id-field", "id_column", multiple=True, metavar="N|NAME",
                 help="Where its id is: 1 for BUCC's id TAB sentence."),
    click.option("--delimiter", multiple=True, metavar="CHAR",
                 help="What stands between columns of CSV; tab for a tab.  [default: a comma]"),
    click.option("--header", is_flag=True, help="The first line of TSV or CSV has names."),
    *_encodings,
)  # fmt: skip
