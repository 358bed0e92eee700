r"""From bytes to lines of text: decoded chunk by chunk, split on ``\n`` alone."""

from __future__ import annotations

import codecs
import contextlib
import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from lightmine.errors import TextError
from lightmine.io.compression import MAGIC, NAMES
from lightmine.io.limits import ReadLimits

BOM = "\ufeff"
PARQUET = b"PAR1"
WIDE = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

REPLACE = "lightmine.replace"
# Characters at the start of a file by which a wrong encoding is detected.
SAMPLE = 4096
# How a byte order mark reads in the other byte order.
SWAPPED = ("\ufffe", "\ufffe\0", "\0\ufffe")
# How files of other formats start.
OTHERS: dict[str, str | tuple[str, ...]] = {
    "PDF": "%pdf-", "RTF": "{\\rtf", "XML": "<?xml", "HTML": ("<!doctype html", "<html"), "ZIP": "pk\3\4",
    "SQLite": "sqlite format 3", "ELF": "\x7felf", "Parquet": "par1\x15",
}  # fmt: skip
FEWEST, MOSTLY = 16, 0.8
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_replaced = threading.local()


def _count_and_replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _replaced.count = getattr(_replaced, "count", 0) + 1
    return "\ufffd", error.end


class DecodedLines:
    """The lines of a text, in lists; can be iterated once.

    The ``\\n`` is removed from each line and nothing else; a final ``\\r`` stays.

    Attributes
    ----------
    bom : bool
        The text starts with a byte order mark, which is removed.
    replaced : int
        Invalid sequences of bytes so far, which were replaced with U+FFFD.
    returns, nulls : int
        Lines so far with a carriage return inside, and with a NUL character.
    """

    def __init__(
        self, chunks: Iterable[bytes], name: str, *, encoding: str, errors: str, limits: ReadLimits
    ) -> None:
        self.name, self.limits, self.bom, self.replaced = name, limits, False, 0
        codecs.register_error(REPLACE, _count_and_replace)
        # utf-8-sig would remove the byte order mark without telling; it is removed here.
        self._codec = codec = codecs.lookup(encoding).name.removesuffix("-sig")
        self._wide = "\n".encode(codec) != b"\n"
        self._decoder = codecs.getincrementaldecoder(codec)(REPLACE if errors == "replace" else "strict")
        self._chunks = chunks
        # Of the bytes before this chunk: how many, how many newlines, and where the last line starts.
        self._offset = self._newlines = self._line_start = 0
        self.returns = self.nulls = 0
        # The text that `peek` has read, and the text after it.
        self._ahead: list[str] = []
        self._rest = self._texts()

    def peek(self) -> str:
        """The first character that is not white space of JSON, without reading past it; empty at the end."""
        held = 0
        for text in self._rest:
            self._ahead.append(text)
            if start := text.lstrip(" \t\r\n"):
                return start[0]
            held += len(text)
            if held > self.limits.line:
                break
        return ""

    def texts(self) -> Iterator[str]:
        """The text in chunks, not split into lines; iterate over this or over the lines."""
        ahead, self._ahead = self._ahead, []
        yield from ahead
        yield from self._rest

    def __iter__(self) -> Iterator[list[str]]:
        done = 0
        for rows in self._rows():
            if not done:
                self._check_start("\n".join(rows[:SAMPLE])[:SAMPLE])
            self._count(rows)
            if self.returns and not self._newlines:
                raise TextError(
                    f"{self.name}: has no line end but carriage returns, so it is one line; convert it: "
                    "tr '\\r' '\\n'"
                )
            done += len(rows)
            yield rows

    def _check_start(self, text: str) -> None:
        """Refuse other formats, and UTF-16 or UTF-32 that is read as another encoding."""
        if self._wide and text.startswith(SWAPPED):
            raise TextError(
                f"{self.name}: its byte order mark is not that of {self._codec.upper()}; leave -le or -be out"
            )
        for kind, start in OTHERS.items():
            if text[:16].lower().startswith(start):
                raise TextError(
                    f"{self.name}: it starts as {kind} does, and text is needed; convert it first"
                )
        if self._wide or len(text) < FEWEST:
            return
        for order, halves in (("be", text[::2]), ("le", text[1::2])):
            if len(CONTROLS.findall(halves)) > MOSTLY * len(halves):
                width = "32" if text.count("\0") * 3 > 2 * len(text) else "16"
                raise TextError(
                    f"{self.name}: every second character at its start is a control, as of UTF-{width} "
                    f"that is read as {self._codec.upper()}; say --encoding utf-{width}-{order}"
                )

    def _count(self, rows: list[str]) -> None:
        """Count unusual lines; they are kept as they are."""
        for row in rows:
            # A carriage return at the end is part of the line end.
            if "\r" in row and row.find("\r") < len(row) - 1:
                self.returns += 1
            if "\0" in row:
                self.nulls += 1

    def _rows(self) -> Iterator[list[str]]:
        tail: list[str] = []
        held = done = 0
        for text in self.texts():
            rows = text.split("\n")
            held += len(rows[0])
            self.limits.check_line(self.name, done + 1, held)
            tail.append(rows[0])
            if len(rows) == 1:
                continue
            rows[0] = "".join(tail)
            tail = [rows.pop()]
            held = len(tail[0])
            longest = max(map(len, rows))
            if longest > self.limits.line:
                self.limits.check_line(self.name, done + 1 + list(map(len, rows)).index(longest), longest)
            done += len(rows)
            yield rows
        self.limits.check_line(self.name, done + 1, held)
        if held:
            yield ["".join(tail)]

    def _texts(self) -> Iterator[str]:
        first = True
        for chunk in self._chunks:
            text = self._decoded(chunk, final=False, first=chunk if first and not self._offset else b"")
            if not self._offset:
                self._head = chunk[:8]
            self._offset += len(chunk)
            if first and text:
                first = False
                if text.startswith(BOM):
                    self.bom, text = True, text[1:]
                elif self._codec in ("utf-16", "utf-32"):
                    self.bom = self._head.startswith(WIDE)
            yield text
        yield self._decoded(b"", final=True, first=b"")

    def _decoded(self, chunk: bytes, *, final: bool, first: bytes) -> str:
        state = self._decoder.getstate()
        _replaced.count = 0
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            raise TextError(self._where(error, state, chunk) + self._hint(first)) from None
        except (UnicodeError, ValueError) as error:
            byte_order = f"; say --encoding {self._codec}-le or -be" if "BOM" in str(error) else ""
            raise TextError(f"{self.name}: is not {self._codec.upper()}: {error}{byte_order}") from None
        self.replaced += _replaced.count
        self._newlines += text.count("\n")
        if not self._wide and (end := chunk.rfind(b"\n")) >= 0:
            self._line_start = self._offset + end + 1
        return text

    def _where(self, error: UnicodeDecodeError, state: Any, chunk: bytes) -> str:
        """The file, line and byte of an invalid sequence."""
        # The decoder holds bytes of the chunk before, if a character is in both chunks.
        place = error.start - (len(error.object) - len(chunk))
        before = ""
        with contextlib.suppress(UnicodeError):  # UTF-16 that is cut may miss its byte order mark
            self._decoder.setstate(state)
            before = self._decoder.decode(chunk[: max(place, 0)])
        line = self._newlines + before.count("\n") + 1
        absolute = self._offset + place
        where = f"byte {absolute + 1:,} of the file"
        if not self._wide:
            newline = chunk.rfind(b"\n", 0, max(place, 0))
            start = self._line_start if newline < 0 else self._offset + newline + 1
            where = f"byte {absolute - start + 1} of the line"
        what = f"0x{error.object[error.start]:02x} is not {self._codec.upper()}"
        return f"{self.name}: line {line}, {where}: {what}; "

    def _hint(self, first: bytes) -> str:
        for kind, magic in MAGIC.items():
            if first.startswith(magic):
                return f"it starts as {NAMES[kind]} does: say --input-format txt.{kind}, or name it .{kind}"
        if first.startswith(PARQUET):
            return "it starts as Parquet does: say --input-format parquet"
        if first.startswith(WIDE):
            wide = "utf-32" if first.startswith(WIDE[:2]) else "utf-16"
            return f"it starts as {wide} does: say --encoding {wide}"
        return "name its encoding with --encoding, or read it with --errors replace"
