"""How a command reads the files that it is given."""

from __future__ import annotations

import dataclasses

import click

from lightmine.cli._command import option, option_set
from lightmine.cli._notes import note_reading
from lightmine.errors import ArgumentError, TextError
from lightmine.io.formats import ERRORS, Column, ReadOptions
from lightmine.io.sentences import Sentences, read_sentences


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputOptions:
    """Format, columns and encoding of a command's files. An option that is given twice is for two files."""

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
        """The options of each file; with `gold`, those of the gold file are the last."""
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


def read_nonempty(path: str, reading: ReadOptions) -> Sentences:
    """The sentences of a file; refuses a file without any."""
    sentences = read_sentences(path, reading)
    if not len(sentences):
        what = "is empty" if not sentences.total else f"has {sentences.total} lines, all of them blank"
        raise TextError(f"{sentences.name}: {what}; one sentence a line is needed")
    return sentences


def read_noted(path: str, reading: ReadOptions, *, quiet: bool) -> Sentences:
    """The sentences of a file, as `read_nonempty`, with notes of what was left out or replaced."""
    sentences = read_nonempty(path, reading)
    note_reading(sentences, len(sentences), reading, quiet=quiet)
    return sentences


def refuse_two_stdin(*paths: str) -> None:
    """Refuse standard input for two files."""
    if paths.count("-") > 1:
        raise ArgumentError("only one of the two files can be - (standard input)")


def _for_each(name: str, values: tuple[str, ...], files: int) -> list[str | None]:
    if len(values) > max(files, 1):
        option = "--" + name.replace("_", "-")
        raise ArgumentError(f"{option} is given {len(values)} times; give it once, or once for each file")
    return [values[min(at, len(values) - 1)] if values else None for at in range(files)]


# A tab is hard to type in a shell.
_TABS = {"tab": "\t", "\\t": "\t"}


def _column(value: str | None) -> Column | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() else value


_encodings = (
    option("Reading", "--encoding", multiple=True, metavar="NAME", show_default="utf-8",
           help="Character encoding of the text, and of gold if none is given for it."),
    option("Reading", "--errors", type=click.Choice(ERRORS), default="strict",
           help="For bytes that are not of the encoding: refuse the file, or replace them by U+FFFD and "
           "count them."),
)  # fmt: skip

# For commands that read files of one fixed format.
encoding_options = option_set("inputs", InputOptions, *_encodings)

reading_options = option_set(
    "inputs", InputOptions,
    option("Reading", "--input-format", multiple=True, metavar="FORMAT", show_default="from the file name",
           help="Format of the file: txt, tsv, csv, jsonl, json or parquet, also compressed, as in csv.gz "
           "(.gz, .bz2, .xz, .zst). For two files of different kinds give this option, and the others of "
           "this group, twice."),
    option("Reading", "--text-column", "--text-field", "text_column", multiple=True, metavar="N|NAME",
           show_default="the whole line; the field text of JSON",
           help="Column of the sentence: its number from 1, or its name in the first line; the name of a "
           "field in JSONL or JSON."),
    option("Reading", "--id-column", "--id-field", "id_column", multiple=True, metavar="N|NAME",
           show_default="no ids", help="Column of the sentence's id: 1 in the files of BUCC (id TAB "
                                  "sentence)."),
    option("Reading", "--delimiter", multiple=True, metavar="CHAR", show_default="a comma",
           help="Character between the columns of CSV; write tab for a tab."),
    option("Reading", "--header", is_flag=True,
           help="The first line of TSV or CSV holds the names of the columns."),
    *_encodings,
)  # fmt: skip
