"""``lightmine cache``: list and remove cached embeddings."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import click

from lightmine.cli._command import CommandGroup, option
from lightmine.cli._notes import note
from lightmine.cli._options import json_option
from lightmine.engine.tiling import parse_bytes
from lightmine.errors import ArgumentError, one_line
from lightmine.store import Cache
from lightmine.store.cache_prune import CacheSummary
from lightmine.system.atomic_files import format_size

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


folder_option = option(
    "Cache", "--cache", metavar="DIR", envvar="LIGHTMINE_CACHE", show_envvar=True,
    show_default="none; it is required",
    help="Folder of the cache, as other commands take it.",
)  # fmt: skip


@click.group(cls=CommandGroup)
def cache() -> None:
    """List or remove the embeddings that --cache keeps.

    \b
    Example:
      lightmine cache list --cache embeddings
    """  # fmt: skip


@cache.command("list")
@folder_option
@json_option
def list_(cache: str | None, as_json: bool) -> None:
    """List models, number and size of embeddings, and their last use.

    With --json it prints one object a line.

    \b
    Example:
      lightmine cache list --cache embeddings
    """
    kept = _opened(cache).summaries()
    now = time.time()
    if as_json:
        for each in kept:
            click.echo(json.dumps(_facts(each), ensure_ascii=False))
        return
    rows = [("model", "options", "sentences", "entries", "size", "last used")]
    for each in kept:
        model = each.header.model if each.header else "unknown"
        age = f"{age_in_words(now - each.used)} ago"
        counts = (f"{each.sentences:,}", f"{each.entries:,}", format_size(each.size), age)
        rows.append((model, _options(each), *counts))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        click.echo("  ".join(cells).rstrip())
    total = sum(each.size for each in kept)
    note(f"{_entries(sum(each.entries for each in kept))} of {format_size(total)}", quiet=False)


@cache.command()
@folder_option
@option(
    "Cache",
    "--older-than",
    metavar="AGE",
    show_default="any age",
    help="Remove embeddings that were not used for this time: 90m, 12h, 30d, 8w.",
)
@option(
    "Cache",
    "--max-size",
    metavar="SIZE",
    show_default="any size",
    help="Remove the embeddings that were not used for longest, until the cache has at most this size: "
    "500MB, 2GiB.",
)
@option("Cache", "--all", "everything", is_flag=True, help="Remove all embeddings.")  # fmt: skip
def prune(cache: str | None, older_than: str | None, max_size: str | None, everything: bool) -> None:
    """Remove embeddings from the cache.

    A job that runs meanwhile encodes again what it misses.

    \b
    Example:
      lightmine cache prune --cache embeddings --older-than 30d --max-size 10GB
    """
    if everything == bool(older_than or max_size):
        raise ArgumentError("say what may go: --older-than AGE, --max-size SIZE, or --all of it")
    age = None if older_than is None else parse_age(older_than)
    size = None if max_size is None else parse_bytes(max_size)
    removed, freed = _opened(cache).prune(older_than=age, max_size=size)
    note(f"{_entries(removed)} of {format_size(freed)} removed", quiet=False)


def parse_age(text: str) -> float:
    """Seconds of an age like ``30d``.

    Examples
    --------
    >>> parse_age("90m"), parse_age("1.5d")
    (5400.0, 129600.0)
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhdw])", text.strip().lower())
    if not found:
        raise ArgumentError(f"--older-than: {text!r} is not an age; say it like 90m, 12h, 30d or 8w")
    return float(found[1]) * SECONDS[found[2]]


def age_in_words(seconds: float) -> str:
    """An age in words; 0 if the clock was set back.

    Examples
    --------
    >>> age_in_words(59), age_in_words(7300), age_in_words(20 * 86400), age_in_words(-99)
    ('59 s', '2 h', '20 d', '0 s')
    """
    for unit, size in (("d", 2 * SECONDS["d"]), ("h", 2 * SECONDS["h"]), ("m", 2 * SECONDS["m"])):
        if seconds >= size:
            return f"{seconds / SECONDS[unit]:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


def _opened(folder: str | None) -> Cache:
    if not folder:
        raise ArgumentError("which cache? give --cache DIR, or set LIGHTMINE_CACHE")
    if not Path(folder).is_dir():
        raise ArgumentError(f"{folder}: no such folder; name the one that --cache was given")
    return Cache(folder)


def _options(kept: CacheSummary) -> str:
    """The options that are not the default, in few words."""
    if kept.header is None:
        return ""
    identity = kept.header.identity
    prompt = identity.get("prompt")
    words = [str(identity.get("provider"))]
    words += [repr(prompt)] if prompt else []
    words += [str(identity.get("precision"))] if identity.get("precision") != "float32" else []
    words += [f"{identity['batches']}"] if identity.get("batches") not in ("any", None) else []
    return one_line(", ".join(words))


def _facts(kept: CacheSummary) -> dict[str, Any]:
    """The same as JSON."""
    head = kept.header
    return {
        "folder": str(kept.folder),
        "model": head.model if head else None,
        "identity": head.identity if head else None,
        "sentences": kept.sentences,
        "entries": kept.entries,
        "bytes": kept.size,
        "last_used": kept.used,
    }
