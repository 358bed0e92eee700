"""Checks of arguments: counts, choices, thresholds. Each refuses with one line."""

from __future__ import annotations

import math

import numpy as np

from lightmine.errors import ArgumentError


def check_count(name: str, value: int | None, *, optional: bool = True) -> int | None:
    """A count as a Python int; refuses values that are not whole numbers of at least 1."""
    if value is None and optional:
        return None
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")
    return int(value)


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is not one of the choices."""
    if value not in choices:
        raise ArgumentError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def check_threshold(threshold: float | None, *, name: str = "threshold") -> None:
    """Refuse a threshold that is not a number."""
    if threshold is None:
        return
    real = isinstance(threshold, int | float | np.floating | np.integer) and not isinstance(threshold, bool)
    if not real or math.isnan(min(threshold, 10**9)):
        raise ArgumentError(f"{name} must be a number, not {threshold!r}")


def check_cosine(value: float | None, *, name: str) -> None:
    """Refuse a limit that no cosine can have; minus infinity means no limit.

    Examples
    --------
    >>> check_cosine(80, name="threshold")
    Traceback (most recent call last):
    lightmine.errors.ArgumentError: threshold is a cosine, from -1 to 1, not 80; 0.8 perhaps?
    """
    check_threshold(value, name=name)
    if value is None or value == -math.inf or -1 <= value <= 1:
        return
    perhaps = f"; {value / 100:g} perhaps?" if 1 < value <= 100 else ""
    shown = float(max(min(value, 1e300), -1e300))
    raise ArgumentError(f"{name} is a cosine, from -1 to 1, not {shown:g}{perhaps}")


def check_progress(progress: object) -> None:
    """Refuse what is not a function, True, False or None."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ArgumentError(
            f"progress must be True, False, None or a function of two numbers, not {progress!r}"
        )
