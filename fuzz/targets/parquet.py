"""Parquet: pyarrow is compiled, so that mutations go blind there."""

from fuzz.targets import file, refusing
from lightmine.texts.formats import Reading
from lightmine.texts.lines import read_sentences


def one_input(data):
    with refusing():
        read = read_sentences(file("x.parquet", data), Reading(id_column="id", errors="replace"))
        assert len(read.texts) == len(read.lines) == len(read.ids)
