"""Sentences from a file, one a line, nothing altered in silence."""

from __future__ import annotations

import dataclasses
import gzip
import sys
import zlib
from pathlib import Path

from lightmine.errors import TextError

STDIN = "-"
BOM = b"\xef\xbb\xbf"


@dataclasses.dataclass(frozen=True)
class Sentences:
    """The lines of one file that are not blank.

    Attributes
    ----------
    name : str
        What messages call the file.
    texts : list of str
    lines : list of int
        The line each text stands on, counted from 1.
    total : int
        Lines in the file, blank ones counted.
    ids : list of str, optional
        The id each text goes by, where the file has ids.
    """

    name: str
    texts: list[str]
    lines: list[int]
    total: int
    ids: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, chosen: list[int]) -> Sentences:
        """The sentences in some places, in that order."""
        ids = None if self.ids is None else [self.ids[at] for at in chosen]
        texts, lines = [self.texts[at] for at in chosen], [self.lines[at] for at in chosen]
        return Sentences(self.name, texts, lines, self.total, ids)


def read_sentences(path: str | Path) -> Sentences:
    r"""Read a UTF-8 text file, plain or ``.gz``, one sentence a line; ``-`` is standard input.

    Lines are split on ``\n`` alone and lose at most one final ``\r``: every other character,
    U+2028 and NUL among them, stays. A byte order mark at the start is not part of the first
    sentence. Lines that are empty or hold only white space keep their numbers and are left out.

    Raises
    ------
    TextError
        The file cannot be read, or is not UTF-8; the message names the line and the byte.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "two.txt")
    >>> _ = path.write_bytes("one\r\n\ntwo\u2028still two".encode())
    >>> sentences = read_sentences(path)
    >>> sentences.texts, sentences.lines, sentences.total
    (['one', 'two\u2028still two'], [1, 3], 3)
    """
    name = "standard input" if str(path) == STDIN else str(path)
    data = _read_bytes(path, name)
    start = len(BOM) if data.startswith(BOM) else 0
    try:
        text = data[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        place = start + error.start
        line_start = data.rfind(b"\n", 0, place) + 1
        line = data.count(b"\n", 0, place) + 1
        raise TextError(
            f"{name}: line {line}, byte {place - line_start + 1} of the line: "
            f"0x{data[place]:02x} is not UTF-8; convert the file to UTF-8 first"
        ) from None
    rows = text.split("\n")
    if rows and not rows[-1]:
        rows.pop()
    kept = [(row.removesuffix("\r"), number) for number, row in enumerate(rows, start=1) if row.strip()]
    return Sentences(name, [row for row, _ in kept], [number for _, number in kept], len(rows))


def _read_bytes(path: str | Path, name: str) -> bytes:
    try:
        if str(path) == STDIN:
            return sys.stdin.buffer.read()
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise TextError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise TextError(f"{name}: is a directory; name a text file in it") from None
    except OSError as error:
        raise TextError(f"{name}: cannot be read: {error.strerror}") from None
    if not name.endswith(".gz"):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise TextError(f"{name}: not a whole gzip file: {error}") from None
