"""Lines on their way to be rows: the blank ones counted, and those kept that are not written yet."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator

from lightmine.errors import TextError


class Reader:
    """Lines as sentences, each once."""

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self.name = name
        self._lines = self._read(lines)
        self._waiting: deque[tuple[int, str]] = deque()
        self.rows = 0
        self.blank = 0  # since the last sentence

    def _read(self, lines: Iterable[str]) -> Iterator[str]:
        try:
            yield from lines
        except OSError as error:
            raise TextError(
                f"{self.name}: cannot be read after line {self.rows:,}: {error.strerror or error}"
            ) from None

    def sentences(self, rows: int | None = None) -> Iterator[str]:
        """The sentences of the next `rows` lines, or of all."""
        for line in itertools.islice(self._lines, rows):
            self.rows += 1
            if isinstance(line, str) and not line.strip():
                self.blank += 1
                continue
            self._waiting.append((self.blank, line))
            self.blank = 0
            yield line

    def take(self, count: int) -> tuple[list[int], list[str]]:
        """The next sentences, and how many blank lines stand before each."""
        taken = [self._waiting.popleft() for _ in range(count)]
        return [gap for gap, _ in taken], [text for _, text in taken]

    def rest(self) -> int:
        """All rows, the lines counted that nobody has asked for yet."""
        for _ in self._lines:
            self.rows += 1
        return self.rows
