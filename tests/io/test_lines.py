import gzip
import io
import sys

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lightmine.errors import TextError
from lightmine.io.sentences import read_sentences
from lightmine.text.unique import unique_texts


@pytest.fixture
def write(tmp_path):
    def write(data, name="text.txt"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


line = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))


@given(st.lists(line))
def test_any_lines_come_back_as_they_were(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("lines") / "any.txt"
    path.write_bytes("".join(text + "\n" for text in lines).encode())
    sentences = read_sentences(path)
    lines = [text.removesuffix("\r") for text in lines]
    if lines and lines[0].startswith("\ufeff"):
        lines[0] = lines[0][1:]
    assert sentences.total == len(lines)
    assert sentences.texts == [text for text in lines if text.strip()]
    assert [lines[number - 1] for number in sentences.lines] == sentences.texts


@pytest.mark.parametrize(
    "odd", ["a\u2028b", "a\u0085b", "a\x00b", "a\x0bb\x0cc", "a\rb", " padded ", "\u00a0x"]
)
def test_only_newlines_split_and_nothing_else_is_touched(write, odd):
    assert read_sentences(write(f"{odd}\r\nlast".encode())).texts == [odd, "last"]


def test_a_missing_last_newline_loses_nothing_and_a_present_one_adds_nothing(write):
    assert read_sentences(write(b"a\nb")).total == read_sentences(write(b"a\nb\n")).total == 2


def test_blank_lines_keep_their_numbers(write):
    sentences = read_sentences(write(b"\none\n  \t\n\xe3\x80\x80\ntwo\n\n"))
    assert (sentences.texts, sentences.lines, sentences.total) == (["one", "two"], [2, 5], 6)


def test_a_byte_order_mark_is_not_part_of_the_first_sentence(write):
    assert read_sentences(write(b"\xef\xbb\xbfone\n")).texts == ["one"]


def test_gzip_is_read_and_a_broken_one_named(write):
    data = gzip.compress("één\n".encode())
    assert read_sentences(write(data, "a.txt.gz")).texts == ["één"]
    with pytest.raises(TextError, match=r"a\.txt\.gz: not a whole gzip file"):
        read_sentences(write(data[:-9], "a.txt.gz"))
    with pytest.raises(TextError, match="not a whole gzip file: it does not start as one does"):
        read_sentences(write(b"plain text", "a.txt.gz"))


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"fine\nna\xefve\n", "line 2, byte 3 of the line: 0xef"),
        (b"\xff\xfea\x00", "line 1, byte 1 of the line: 0xff"),
        (b"\xef\xbb\xbfab\xc3", "line 1, byte 6 of the line: 0xc3"),
        (b"a\n" * 1000 + b"\x80", "line 1001, byte 1 of the line: 0x80"),
    ],
)
def test_bytes_that_are_not_utf8_are_named_by_file_line_and_byte(write, data, place):
    with pytest.raises(TextError, match=rf"text\.txt: {place} is not UTF-8; "):
        read_sentences(write(data))


def test_standard_input_is_a_file_too(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("één\n".encode()), encoding="ascii"))
    sentences = read_sentences("-")
    assert (sentences.name, sentences.texts) == ("standard input", ["één"])


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(TextError, match=r"gone\.txt: no such file"):
        read_sentences(tmp_path / "gone.txt")
    with pytest.raises(TextError, match="is a directory; name a text file in it"):
        read_sentences(tmp_path)


def test_duplicates_are_grouped_with_all_their_lines(write):
    texts = unique_texts(read_sentences(write(b"b\na\n\nb\na\nb\nA\n")))
    assert (texts.texts, texts.lines) == (["b", "a", "A"], [[1, 4, 6], [2, 5], [7]])
