"""A table in markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown(head: Sequence[str], body: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """A table; the first columns to the left, the figures to the right."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])


def percent(value: float) -> str:
    return f"{100 * value:.1f}"
