"""``lightmine margin``."""

from __future__ import annotations

import functools

import click

from lightmine.bitext.neighbors_file import load_neighbors
from lightmine.bitext.presets import MarginOptions
from lightmine.cli._command import command
from lightmine.cli._margins import margin_options, mined_columns
from lightmine.cli._notes import note
from lightmine.cli._options import format_option, output_option, quiet_option
from lightmine.cli._outputs import check_outputs, output_format, write_columns
from lightmine.cli._sentences import pair_filters
from lightmine.io.output import open_text
from lightmine.text.filters import PairFilter


@command()
@click.argument("file")
@margin_options
@pair_filters
@output_option
@format_option
@quiet_option
def margin(
    file: str, options: MarginOptions, pair_filter: PairFilter, output: str, format_: str | None, quiet: bool
) -> None:
    """Make pairs of saved neighbours, with other options.

    FILE was written by lightmine bitext --save-neighbors. Writes what lightmine bitext would write with these
    options. It takes seconds, because nothing is encoded or searched.

    \b
    Example:
      lightmine margin near.npz --retrieval intersect -o bitext.tsv
    """
    format_ = output_format(output, format_)
    check_outputs([file], {"--output": output})
    with open_text(output) as stream:
        say = functools.partial(note, quiet=quiet)
        columns = mined_columns(load_neighbors(file), options, pair_filter, say)
        message = write_columns(stream, output, columns, format_=format_)
    note(message, quiet=quiet)
