"""``lightmine models``."""

from __future__ import annotations

import dataclasses
import json

import click

from lightmine.cli._command import command
from lightmine.cli._options import json_option
from lightmine.loading.catalog import read_catalog


@command()
@json_option
def models(as_json: bool) -> None:
    """List models that are known for mining.

    A dash is a fact that no source states. With --json each fact has its source.

    \b
    Example:
      lightmine models
    """
    entries = read_catalog()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    shown = ("licence", "dimension", "languages", "pooling", "prompt")
    rows: list[tuple[str, ...]] = [("model", *shown)]
    for entry in entries:
        facts = {name: str(value) for name, value in entry.facts.items()}
        facts |= {"prompt": repr(facts["prompt"])} if "prompt" in facts else {}
        rows.append((entry.name, *(facts.get(name, "-") for name in shown)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
