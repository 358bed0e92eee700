"""Text, one sentence a line, in many encodings, compared with a simple reader."""

from fuzz.targets import file, refusing
from lightmine.io.formats import ReadOptions
from lightmine.io.sentences import read_sentences

ENCODINGS = (
    "utf-8",
    "utf-16",
    "utf-32",
    "utf-16-le",
    "latin-1",
    "cp1252",
    "gb18030",
    "shift_jis",
    "iso2022_jp",
)


def one_input(data):
    choice, data = (data[0], data[1:]) if data else (0, b"")
    encoding, errors = ENCODINGS[choice % 9], ("strict", "replace")[choice // 9 % 2]
    with refusing():
        read = read_sentences(file("x.txt", data), ReadOptions(encoding=encoding, errors=errors))
        expected = data.decode(encoding, errors).removeprefix("\ufeff").split("\n")
        expected = expected[:-1] if not expected[-1] else expected
        assert read.total == len(expected)
        for text, line in zip(read.texts, read.lines, strict=True):
            assert text == expected[line - 1].removesuffix("\r")
            text.encode("utf-8")
        assert len(read) == sum(1 for line in expected if line.strip())
