"""TSV, with columns by number and by name."""

from fuzz.targets import file, refusing
from lightmine.io.formats import ReadOptions
from lightmine.io.sentences import read_sentences

READINGS = (
    ReadOptions(),
    ReadOptions(text_column=1),
    ReadOptions(text_column=2, id_column=1),
    ReadOptions(text_column="b"),
    ReadOptions(text_column="a", id_column="b", errors="replace"),
    ReadOptions(id_column=1),
    ReadOptions(id_column=2),
    ReadOptions(header=True, text_column=3),
)


def one_input(data):
    choice, data = (data[0], data[1:]) if data else (0, b"")
    with refusing():
        read = read_sentences(file("x.tsv", data), READINGS[choice % len(READINGS)])
        assert read.total <= data.count(b"\n") + 1
        assert read.ids is None or len(read.ids) == len(read.texts)
