"""Protobuf messages, read field by field without copying what is not needed."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

# Where the bytes of a field begin and end.
Span = tuple[int, int]


def varints(data: mmap.mmap, span: Span) -> list[int]:
    """The numbers of a packed field."""
    position, found = span[0], []
    while position < span[1]:
        number, position = varint(data, position)
        found.append(number)
    return found


def fields(data: mmap.mmap, span: Span, wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
    """The fields of a message that have one of the numbers: a number and a content as of `walk`."""
    return [(number, content) for number, content in walk(data, *span) if number in wanted]


def walk(data: mmap.mmap, position: int, end: int) -> Iterator[tuple[int, Any]]:
    """All fields of a message: the field's number, and its content as a number or as a `Span`.

    Raises
    ------
    ValueError, IndexError
        These bytes are not a message.
    """
    content: int | Span
    while position < end:
        key, position = varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            content, position = varint(data, position)
        elif kind == 2:
            length, position = varint(data, position)
            content = position, position + length
            position += length
        elif kind in (1, 5):
            content = 0
            position += 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if not number or position > end:
            raise ValueError("not a protobuf message")
        yield number, content


def varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    """A number of variable length, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of over 64 bits")


def whole_number(content: Any) -> int:
    """The content of a field that must be a number."""
    if not isinstance(content, int):
        raise ValueError("a message where a number should be")
    return content


def text(data: mmap.mmap, span: Span) -> str:
    """The content of a field that must be a text."""
    return data[span[0] : span[1]].decode()
