"""What an ONNX file says about itself, read without loading its weights.

The file is one protobuf message, ModelProto of onnx.proto3, walked here field by field; a field's
content is skipped unless it is asked for, so a graph of gigabytes takes milliseconds.
"""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lightmine.errors import BundleError

# TensorProto.DataType
FLOAT, INT8, INT32, INT64, FLOAT16 = 1, 3, 6, 7, 10
# Operators that choose one scale for all that they are given: a batch then shares it.
BATCH_SCALED = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})

# A field's number and its content: a number, or where its bytes begin and end.
Span = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Value:
    """A graph's input or output; sizes that are not fixed are None, as is a shape that is not said."""

    name: str
    element: int
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class Graph:
    """Inputs and outputs, the operators used, and the files that hold weights outside the graph's own.

    ``wide_int8`` tells of signed 8-bit matrices that use more than 7 of their bits.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    operators: frozenset[str]
    weight_files: frozenset[str]
    wide_int8: bool = False


def read_graph(path: Path) -> Graph:
    """Read the header of an ONNX file.

    Raises
    ------
    BundleError
        The file cannot be opened, or is no ONNX graph.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _model(data)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    # An empty file cannot be mapped, a cut one ends in mid-field, a hostile one has numbers for messages.
    except (ValueError, IndexError, TypeError):
        raise BundleError(f"{path}: not an ONNX graph, or cut short; fetch or export it again") from None


def _model(data: mmap.mmap) -> Graph:
    model = _fields(data, (0, len(data)), (7, 25))
    graphs = [span for number, span in model if number == 7]
    if len(graphs) != 1:
        raise ValueError("no graph")
    graph = list(_fields(data, graphs[0], (1, 5, 11, 12)))
    initializers = [_initializer(data, span) for number, span in graph if number == 5]
    names = {name for name, _, _ in initializers}
    nodes = [span for number, span in graph if number == 1]
    for number, function in model:
        if number == 25:
            nodes += [span for _, span in _fields(data, function, (7,))]
    return Graph(
        # Old graphs list their weights among the inputs.
        inputs=tuple(v for v in (_value(data, s) for n, s in graph if n == 11) if v.name not in names),
        outputs=tuple(_value(data, span) for number, span in graph if number == 12),
        operators=frozenset(_text(data, span) for node in nodes for _, span in _fields(data, node, (4,))),
        weight_files=frozenset(file for _, files, _ in initializers for file in files),
        wide_int8=any(wide for _, _, wide in initializers),
    )


def _initializer(data: mmap.mmap, span: Span) -> tuple[str, list[str], bool]:
    """A weight's name, the files that its numbers are in where not in the graph's own, and `wide_int8`."""
    name, files, axes, element, wide = "", [], 0, 0, False
    for number, field in _fields(data, span, (1, 2, 8, 9, 13)):
        if number == 1:
            axes += 1 if isinstance(field, int) else 2  # or packed, all in one field
        elif number == 2:
            element = _number(field)
        elif number == 8:
            name = _text(data, field)
        elif number == 9:
            if element == INT8 and axes >= 2:
                numbers = np.frombuffer(data[field[0] : field[1]], np.int8)
                wide = bool(len(numbers)) and (int(numbers.max()) > 64 or int(numbers.min()) < -64)
        else:
            entry = {key: _text(data, text) for key, text in _fields(data, field, (1, 2))}
            if entry.get(1) == "location":
                files.append(entry.get(2, ""))
    return name, files, wide


def _value(data: mmap.mmap, span: Span) -> Value:
    name, element = "", 0
    shape: list[int | None] | None = None
    for number, field in _fields(data, span, (1, 2)):
        if number == 1:
            name = _text(data, field)
            continue
        for _, tensor in _fields(data, field, (1,)):
            for key, content in _fields(data, tensor, (1, 2)):
                if key == 1:
                    element = _number(content)
                else:
                    axes = [dict(_fields(data, axis, (1,))) for _, axis in _fields(data, content, (1,))]
                    shape = [_number(axis.get(1, 0)) or None for axis in axes]
    return Value(name, element, None if shape is None else tuple(shape))


def _fields(data: mmap.mmap, span: Span, wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
    return [(number, content) for number, content in _walk(data, *span) if number in wanted]


def _walk(data: mmap.mmap, place: int, end: int) -> Iterator[tuple[int, int | Span]]:
    content: int | Span
    while place < end:
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            content, place = _varint(data, place)
        elif kind == 2:
            length, place = _varint(data, place)
            content = place, place + length
            place += length
        elif kind in (1, 5):
            content = 0
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if not number or place > end:
            raise ValueError("not a protobuf message")
        yield number, content


def _varint(data: mmap.mmap, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("not a protobuf message")


def _number(content: Any) -> int:
    if not isinstance(content, int):
        raise ValueError("a message where a number should be")
    return content


def _text(data: mmap.mmap, span: Span) -> str:
    return data[span[0] : span[1]].decode()
