"""JSONL, with fields and nested fields."""

from fuzz.targets import file, refusing
from lightmine.io.formats import ReadOptions
from lightmine.io.sentences import read_sentences

READINGS = (
    ReadOptions(),
    ReadOptions(errors="replace"),
    ReadOptions(text_column="t.de", id_column="id"),
    ReadOptions(text_column="a", id_column="b", errors="replace"),
)


def one_input(data):
    choice, data = (data[0], data[1:]) if data else (0, b"")
    with refusing():
        read = read_sentences(file("x.jsonl", data), READINGS[choice % len(READINGS)])
        assert read.total <= data.count(b"\n") + 1
        for text in [*read.texts, *(read.ids or ())]:
            text.encode("utf-8")
