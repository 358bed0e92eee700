"""Progress: a function that the caller gives, or a bar on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from lightmine._validation import check_progress

# A function that is called with how much is done, and how much there is in all.
Progress = Callable[[int, int], None]
# The same; the second number is None as long as it is not known.
StreamProgress = Callable[[int, int | None], None]

# The format with an estimated total: the bar shows the percentage and the time, but not the total.
ESTIMATED = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} [{elapsed}<{remaining}, {rate_fmt}]"


class Bar:
    """A progress bar on stderr: call it with how much is done and how much there is in all.

    It is shown if stderr is a terminal, or if `always` is True. If the total is not known, `guess` may
    estimate it.
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
        """Show that `done` of `total` is done; None is an unknown total."""
        if self.disable:
            return
        guessed = self.guess() if total is None else None
        if self._bar is None:
            from tqdm import tqdm  # imported here, so that a job without a bar does not load it

            # Otherwise tqdm makes a lock between processes: a file in /dev/shm.
            tqdm.set_lock(threading.RLock())
            self._bar = tqdm(
                total=total or guessed,
                desc=self.label,
                unit=self.unit,
                unit_scale=True,
                leave=False,
                **_unknown_size(),
                bar_format=None if guessed is None else ESTIMATED,
            )
        self._bar.total = total or guessed
        self._bar.update(done - self._bar.n)
        if total is not None and done >= total:
            self.close()

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _unknown_size() -> dict[str, int]:
    """A size for a terminal that says it has 0 rows or columns, as in some containers.

    With 0 rows tqdm shows nothing, and with 0 columns it cuts its line.
    """
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):  # stderr has no file descriptor, or is no terminal
        return {}
    return {} if size.lines and size.columns else {"nrows": 24, "ncols": 80}


@contextlib.contextmanager
def open_progress(
    progress: Callable[..., None] | bool | None, label: str, unit: str
) -> Iterator[Callable[..., None] | None]:
    """The function to call with how much is done and how much there is: a bar for True, None for False.

    The bar is shown on stderr even if that is no terminal. It is removed at the end, also after an error.

    Examples
    --------
    >>> with open_progress(False, "mining", " pairs") as tell:
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
