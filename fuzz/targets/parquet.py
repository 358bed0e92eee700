"""Parquet. pyarrow is compiled, so mutations are not guided by its coverage."""

from fuzz.targets import file, refusing
from lightmine.io.formats import ReadOptions
from lightmine.io.parquet import pyarrow_or_error
from lightmine.io.sentences import read_sentences

# It takes seconds to import, which are none of an input's.
pyarrow_or_error("pyarrow")

READINGS = (
    ReadOptions(id_column="id", errors="replace"),
    ReadOptions(text_column="t.de", id_column="t.id", errors="replace"),
)


def one_input(data):
    path = file("x.parquet", data)
    for reading in READINGS:
        with refusing():
            read = read_sentences(path, reading)
            assert len(read.texts) == len(read.lines) == len(read.ids)
