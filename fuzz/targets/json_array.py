"""JSON arrays, compared with the parser of Python for files that both read; in chunks of any size."""

import json

from fuzz.targets import file, refusing
from lightmine.errors import LightmineError
from lightmine.io.decoding import DecodedLines
from lightmine.io.formats import ReadOptions
from lightmine.io.json_arrays import json_array_blocks
from lightmine.io.limits import ReadLimits
from lightmine.io.sentences import read_sentences

READINGS = (
    ReadOptions(),
    ReadOptions(errors="replace"),
    ReadOptions(text_column="t.de", id_column="id"),
    ReadOptions(text_column=1, errors="replace"),
)


def one_input(data):
    choice, data = (data[0], data[1:]) if data else (0, b"")
    reading = READINGS[choice % len(READINGS)]
    read = None
    with refusing():
        read = read_sentences(file("x.json", data), reading)
        for text in [*read.texts, *(read.ids or ())]:
            text.encode("utf-8")
    if data.lstrip(b" \t\r\n").startswith(b"["):
        assert read == in_pieces(data, reading, choice // 4 + 1, read)
        if read is not None and reading.errors == "strict":
            assert read.total == len(json.loads(data))


def in_pieces(data, reading, size, read):
    """What was read, where the file is read as the same in pieces of so many bytes; None if it is refused."""
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    try:
        lines = DecodedLines(pieces, "x", encoding="utf-8", errors=reading.errors, limits=ReadLimits())
        lines.peek()
        blocks = list(json_array_blocks(lines, reading))
    except LightmineError:
        return None
    assert read is not None
    assert [text for block in blocks for text in block.texts] == read.texts
    return read
