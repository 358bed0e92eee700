"""The lines that are encoded: counts the blank ones, and keeps those whose vectors are not written yet."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator

from lightmine.errors import TextError


class InputLines:
    """Lines that are read once, as sentences.

    Attributes
    ----------
    name : str
        What messages call the input.
    rows : int
        Lines read so far.
    blank : int
        Blank lines since the last sentence.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self.name = name
        self.rows = 0
        self.blank = 0
        self._lines = self._read(lines)
        self._waiting: deque[tuple[int, str]] = deque()

    def _read(self, lines: Iterable[str]) -> Iterator[str]:
        try:
            yield from lines
        except OSError as error:
            raise TextError(
                f"{self.name}: cannot be read after line {self.rows:,}: {error.strerror or error}"
            ) from None

    def sentences(self, rows: int | None = None) -> Iterator[str]:
        """The sentences of the next `rows` lines, or of all lines."""
        for line in itertools.islice(self._lines, rows):
            self.rows += 1
            if isinstance(line, str) and not line.strip():
                self.blank += 1
                continue
            self._waiting.append((self.blank, line))
            self.blank = 0
            yield line

    def take(self, count: int) -> tuple[list[int], list[str]]:
        """How many blank lines stand before each of the next sentences, and these sentences."""
        taken = [self._waiting.popleft() for _ in range(count)]
        return [gap for gap, _ in taken], [text for _, text in taken]

    def count(self) -> int:
        """Read the lines that are left; returns how many there are in all."""
        for _ in self._lines:
            self.rows += 1
        return self.rows
