"""What commands with gold share: their options, the gold, and how figures are printed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click
import numpy as np

from lightmine.cli._command import option_set
from lightmine.cli._options import (
    cache_option,
    fast_option,
    json_option,
    memory_option,
    model_option,
    provider_option,
    quiet_option,
    threads_option,
    verify_option,
)
from lightmine.cli._run import RunOptions
from lightmine.errors import TextError
from lightmine.io.gold import Gold
from lightmine.io.sentences import Sentences


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions(RunOptions):
    """The model, how it is run, and how figures are printed."""

    output: str = "-"
    format_: str | None = "tsv"
    as_json: bool = False

    def gold(self, read: Gold) -> list[tuple[int, int]]:
        """The true pairs; notes report what else the file holds."""
        for line in read.notes():
            self.note(line)
        return read.pairs

    def show(self, figures: Any, **more: Any) -> None:
        """Print figures: a name and a value a line, or one JSON object."""
        show(figures, as_json=self.as_json, **more)


def show(figures: Any, *, as_json: bool, **more: Any) -> None:
    """Print figures: a name and a value a line, or one JSON object."""
    values = dataclasses.asdict(figures) | more
    if as_json:
        click.echo(
            json.dumps({name: value if np.isfinite(value) else None for name, value in values.items()})
        )
        return
    for name, value in values.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.6f}"
        click.echo(f"{name.replace('_', ' '):21} {shown}")


evaluation_run_options = option_set(
    "run", EvaluationOptions,
    model_option, provider_option, verify_option, fast_option, memory_option, threads_option, cache_option,
    json_option, quiet_option,
)  # fmt: skip


def rows_by_gold_name(sentences: Sentences, count_from: int) -> dict[str, int]:
    """Rows by what gold calls them: ids, or line numbers if there are no ids."""
    if sentences.ids is not None:
        return rows_by_id(sentences)
    return {str(place + count_from): row for row, place in enumerate(sentences.places())}


def rows_by_id(sentences: Sentences) -> dict[str, int]:
    """Rows by id; refuses an id that is given twice."""
    assert sentences.ids is not None
    rows = {name.strip(): row for row, name in enumerate(sentences.ids)}
    if len(rows) < len(sentences):
        first = {name.strip(): row for row, name in reversed(list(enumerate(sentences.ids)))}
        twice = next(row for row, name in enumerate(sentences.ids) if first[name.strip()] < row)
        raise TextError(
            f"{sentences.name}: line {sentences.lines[twice]}: the id {sentences.ids[twice]!r} is that of "
            f"line {sentences.lines[first[sentences.ids[twice].strip()]]} too"
        )
    return rows
