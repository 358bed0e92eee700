"""Progress: a function of the caller's, or a bar on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from lightmine.errors import ArgumentError

Progress = Callable[[int, int], None]

# With a guess at how much there is, which shows in the percentage and the time, and is not called a count.
GUESSED = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} [{elapsed}<{remaining}, {rate_fmt}]"


class Bar:
    """A progress bar on stderr; called with how much is done and how much there is.

    It shows on a terminal only, or wherever stderr goes where `always` says so. Where the total is not known,
    `guess` may give a guess at it.
    """

    def __init__(
        self,
        label: str,
        unit: str,
        *,
        quiet: bool = False,
        always: bool = False,
        guess: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.label, self.unit, self.quiet, self.guess = label, unit, quiet, guess
        self.disable = quiet or not (always or sys.stderr.isatty())
        self._bar: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        """Show that `done` of `total` is done, or of nobody knows how many."""
        if self.disable:
            return
        guessed = self.guess() if total is None else None
        if self._bar is None:
            from tqdm import tqdm  # here, so that a job without a bar does not load it

            # Otherwise tqdm makes a lock between processes: a file in /dev/shm.
            tqdm.set_lock(threading.RLock())
            self._bar = tqdm(
                total=total or guessed,
                desc=self.label,
                unit=self.unit,
                unit_scale=True,
                leave=False,
                **_unknown_size(),
                bar_format=None if guessed is None else GUESSED,
            )
        self._bar.total = total or guessed
        self._bar.update(done - self._bar.n)
        if total is not None and done >= total:
            self.close()

    def close(self) -> None:
        """Take the bar away, if it is there."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _unknown_size() -> dict[str, int]:
    """A size in the place of 0, which is what a terminal has whose size nobody told, as in some containers.

    In 0 rows tqdm shows nothing, and it cuts its line for 0 columns.
    """
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):  # it only says that it is a terminal, or has no file at all
        return {}
    return {} if size.lines and size.columns else {"nrows": 24, "ncols": 80}


def check_progress(progress: object) -> None:
    """Refuse what is neither a function nor True, False or None."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ArgumentError(
            f"progress must be True, False, None or a function of two numbers, not {progress!r}"
        )


@contextlib.contextmanager
def shown(
    progress: Callable[..., None] | bool | None, label: str, unit: str
) -> Iterator[Callable[..., None] | None]:
    """What to call with how much is done and how much there is: a bar for True, None for False.

    The bar is on stderr whether or not that is a terminal, since it was asked for, and is taken away at the
    end, also after an error.

    Examples
    --------
    >>> with shown(False, "mining", " pairs") as tell:
    ...     print(tell)
    None
    """
    check_progress(progress)
    if not isinstance(progress, bool):
        yield progress
        return
    bar = Bar(label, unit, always=True) if progress else None
    try:
        yield bar
    finally:
        if bar is not None:
            bar.close()
