"""CSV, compared with the reader of Python for files that both read."""

import csv
import io

from fuzz.targets import file, refusing
from lightmine.errors import LightmineError
from lightmine.io.formats import ReadOptions
from lightmine.io.sentences import read_sentences, stream_rows

READINGS = (
    ReadOptions(),
    ReadOptions(text_column=2),
    ReadOptions(text_column="b", id_column="a"),
    ReadOptions(header=True),
)


def one_input(data):
    choice, data = (data[0], data[1:]) if data else (0, b"")
    path = file("x.csv", data)
    with refusing():
        read = read_sentences(path, READINGS[choice % len(READINGS)])
        assert read.total <= data.count(b"\n") + 1
    try:
        _, blocks = stream_rows(str(path), ReadOptions())
        rows = [fields for block in blocks for _, fields in block]
    except LightmineError:
        return
    text = data.decode("utf-8").removeprefix("\ufeff")
    if "\r" not in text and len(text) < 100_000:
        # An empty line is no fields there and one empty field here.
        assert [row or [""] for row in csv.reader(io.StringIO(text, newline=""), strict=True)] == rows
