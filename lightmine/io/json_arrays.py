"""JSON files that hold one array, of objects or of texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lightmine.errors import TextError
from lightmine.io.blocks import BlockBuilder, SentenceBlock
from lightmine.io.decoding import DecodedLines
from lightmine.io.formats import ReadOptions
from lightmine.io.json_fields import RecordParser, no_constant, unique_fields
from lightmine.io.limits import variable_of

# Characters of the array in a block.
BLOCK = 1 << 20
BLANKS = re.compile(r"[ \t\r\n]*")
# The longest token, other than a string, that the end of a chunk can cut: an escaped surrogate pair.
TOKEN = 16


def json_array_blocks(lines: DecodedLines, reading: ReadOptions) -> Iterator[SentenceBlock]:
    """Sentences and ids from an array of objects or of texts; each element is a record."""
    records, elements = RecordParser(lines, reading), _Elements(lines)
    made, start = BlockBuilder(0), 0
    for element, escaped in elements:
        where = f"{lines.name}: element {elements.number}"
        text, id_ = records.of_element(element, where, escaped=escaped)
        made.add(text, elements.number, id_)
        if elements.offset - start >= BLOCK:
            yield made.block(ids=records.with_ids)
            made, start = BlockBuilder(made.total), elements.offset
    yield made.block(ids=records.with_ids)


class _Elements:
    """Reads the elements of an array one by one, each with whether it holds ``\\ud``.

    Attributes
    ----------
    number : int
        The number of the element that is read, from 1.
    """

    def __init__(self, lines: DecodedLines) -> None:
        self.number = 0
        self._name, self._limit, self._texts = lines.name, lines.limits.line, lines.texts()
        self._decoder = json.JSONDecoder(parse_constant=no_constant, object_pairs_hook=unique_fields)
        self._text, self._at = "", 0
        # Of the text before `_text`: its characters, its newlines, and where its last line starts.
        self._before = self._newlines = self._line_start = 0

    @property
    def offset(self) -> int:
        """Characters read so far."""
        return self._before + self._at

    def __iter__(self) -> Iterator[tuple[Any, bool]]:
        self._next()  # the bracket that the caller has seen
        self._at += 1
        if self._next() != "]":
            yield self._element()
            while (mark := self._next()) == ",":
                self._at += 1
                yield self._element()
            if not mark:
                raise TextError(self._ends())
            if mark != "]":
                where = self._where(self._at)
                raise TextError(f"{where}: {mark!r} follows the element; a comma or the closing ] is needed")
        self._at += 1
        if self._next():
            raise TextError(
                f"{self._name}: line {self._line(self._at)[0]}: something follows the array; one array, or "
                "an object a line, is read"
            )

    def _element(self) -> tuple[Any, bool]:
        self.number += 1
        mark = self._next()
        if mark == "[" or (mark and mark in "-0123456789"):
            # Refused before it is parsed: a list can be long, and a number can continue in the next chunk.
            raise TextError(
                f"{self._where(self._at)}: is {'a list' if mark == '[' else 'a number'}, and an object or a "
                "text is needed"
            )
        while True:
            try:
                element, end = self._decoder.raw_decode(self._text, self._at)
                break
            except json.JSONDecodeError as error:
                self._check(len(self._text))
                if not self._is_cut(error) or not self._more(len(self._text) - self._at):
                    raise TextError(self._refusal(error)) from None
            except RecursionError:
                raise TextError(f"{self._where(self._at)}: not a record: it is nested too deep") from None
            except ValueError as error:  # a number of thousands of digits, NaN
                reason = str(error).partition(";")[0]
                raise TextError(f"{self._where(self._at)}: not JSON that is read here: {reason}") from None
        self._check(end)
        escaped = any(self._text.find(half, self._at, end) >= 0 for half in ("\\ud", "\\uD"))
        self._at = end
        return element, escaped

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether the element may be complete with more text."""
        return error.msg.startswith("Unterminated") or error.pos >= len(self._text) - TOKEN

    def _next(self) -> str:
        """The next character that is not white space, without reading past it; empty at the end."""
        while True:
            self._at = BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(1):
                return ""

    def _more(self, least: int) -> bool:
        """Drop the text that was parsed and read at least `least` more characters, if there are so many.

        For an incomplete element the caller asks for as many as it has already, so that a long element is
        not parsed again for each chunk.
        """
        parts, got = [self._text[self._at :]], 0
        for text in self._texts:
            parts.append(text)
            got += len(text)
            if got >= least:
                break
        if not got:
            return False
        line, self._line_start = self._line(self._at)
        self._newlines = line - 1
        self._before += self._at
        self._text, self._at = "".join(parts), 0
        return True

    def _line(self, place: int) -> tuple[int, int]:
        """The line of a position in the text, and the position in the file where this line starts."""
        last = self._text.rfind("\n", 0, place)
        start = self._line_start if last < 0 else self._before + last + 1
        return self._newlines + self._text.count("\n", 0, place) + 1, start

    def _where(self, place: int) -> str:
        line, start = self._line(place)
        return (
            f"{self._name}: element {self.number} (line {line}, character {self._before + place - start + 1})"
        )

    def _check(self, end: int) -> None:
        if end - self._at > self._limit:
            raise TextError(
                f"{self._where(self._at)}: is longer than {self._limit:,} characters; is it an element for "
                f"each sentence? If so, set {variable_of('line')} higher"
            )

    def _ends(self) -> str:
        return f"{self._name}: element {self.number}: the file ends before the array does; fetch it again"

    def _refusal(self, error: json.JSONDecodeError) -> str:
        if error.msg.startswith("Unterminated") or error.pos >= len(self._text):
            return self._ends()
        what = "an array of objects or of texts is needed"
        return f"{self._where(error.pos)}: not JSON: {error.msg}; {what}"
