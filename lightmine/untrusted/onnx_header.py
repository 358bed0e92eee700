"""What an ONNX file says about itself, read without loading its weights.

The file is one protobuf message, ModelProto of onnx.proto3, walked here field by field; a field's
content is skipped unless it is asked for, so a graph of gigabytes takes milliseconds. What would take
ONNX Runtime down with it, or out of the model's folder, is refused here, before the file is given to it.
"""

from __future__ import annotations

import dataclasses
import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lightmine.errors import BundleError, one_line
from lightmine.untrusted.model_paths import own_file

# TensorProto.DataType
FLOAT, INT8, INT32, INT64, FLOAT16 = 1, 3, 6, 7, 10
# Bits of a number of each TensorProto.DataType; a string's are not known.
BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 8: 0, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64,
        15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2}  # fmt: skip
# ONNX Runtime puts functions into the graph by recursion: on a thread's usual 8 MiB of stack, a chain of
# 1,000 loads and one of 3,000 ends the process. Real graphs call a few deep.
DEEPEST_CALLS = 100
# Nodes with functions put in; the largest known have some ten thousand, and thirty functions that call
# the next one twice have a billion.
MOST_NODES = 1_000_000
# More make a product of sizes that takes hours to compute.
MOST_AXES = 64
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
class Weights:
    """Numbers that are in another file: where they begin, and where they end at the least."""

    file: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Graph:
    """Inputs and outputs, the operators used, and the weights in other files than the graph's own.

    ``wide_int8`` tells of signed 8-bit matrices that use more than 7 of their bits.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    operators: frozenset[str]
    weights: tuple[Weights, ...] = ()
    wide_int8: bool = False

    @property
    def weight_files(self) -> frozenset[str]:
        """Names of the files, beside the graph's, that hold weights."""
        return frozenset(weights.file for weights in self.weights)


class _RefusedError(ValueError):
    """A graph that can be read and is refused; the message says why."""


def read_graph(path: Path) -> Graph:
    """Read the header of an ONNX file, and check what it claims.

    Raises
    ------
    BundleError
        The file cannot be opened, is no ONNX graph, claims more numbers than it holds, or has functions
        that call each other without end.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _model(data)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    except _RefusedError as error:
        raise BundleError(f"{path}: {one_line(error)}; fetch it again, or do not trust it") from None
    except (ValueError, IndexError, TypeError):  # an empty file cannot be mapped, a cut one ends in mid-field
        raise BundleError(f"{path}: not an ONNX graph, or cut short; fetch or export it again") from None


def check_weights(path: Path, graph: Graph) -> None:
    """Check that the other files of a graph's weights are beside it, its own, and long enough.

    Raises
    ------
    BundleError
        It names the file.
    """
    for name in sorted(graph.weight_files):
        # ONNX Runtime takes some names for places in memory.
        if not name or name.startswith("*"):
            raise BundleError(f"{path}: its weights are in {name!r}, which is no file")
        size = own_file(path.parent, name).stat().st_size
        for weights in graph.weights:
            if weights.file == name and weights.end > size:
                raise BundleError(
                    f"{path.parent / name}: holds {size:,} bytes, and weights are to end at {weights.end:,}; "
                    "fetch it again"
                )


def _model(data: mmap.mmap) -> Graph:
    model = _fields(data, (0, len(data)), (7, 25))
    graphs = [span for number, span in model if number == 7]
    if len(graphs) != 1:
        raise ValueError("no graph")
    main = _Part()
    main.walk(data, graphs[0], nodes=1)
    functions: dict[Name, _Part] = {}
    for number, span in model:
        if number == 25:
            text = {key: _text(data, text) for key, text in _fields(data, span, (1, 10, 13))}
            name = text.get(10, ""), text.get(1, ""), text.get(13, "")
            functions[name] = _Part()
            functions[name].walk(data, span, nodes=7)
    _check_calls(main, functions)
    parts = (main, *functions.values())
    tensors = [tensor for part in parts for tensor in part.tensors]
    names = {tensor.name for tensor in main.tensors}
    ends = [(number, _value(data, span)) for number, span in _fields(data, graphs[0], (11, 12))]
    return Graph(
        # Old graphs list their weights among the inputs.
        inputs=tuple(value for number, value in ends if number == 11 and value.name not in names),
        outputs=tuple(value for number, value in ends if number == 12),
        operators=frozenset(name for part in parts for _, name, _ in part.nodes),
        weights=tuple(tensor.weights for tensor in tensors if tensor.weights),
        wide_int8=any(tensor.wide for tensor in tensors),
    )


# A node's or a function's domain, operator and overload.
Name = tuple[str, str, str]


class _Part:
    """Nodes and tensors of a graph or function, those of the graphs inside its nodes included."""

    def __init__(self) -> None:
        self.nodes: list[Name] = []
        self.tensors: list[_Tensor] = []

    def walk(self, data: mmap.mmap, span: Span, *, nodes: int) -> None:
        """Take in a message whose field `nodes` has the nodes, and then the graphs inside them."""
        inner = self._take(data, span, nodes, (5, 15) if nodes == 1 else (), 11 if nodes == 7 else 0)
        while inner:
            inner += self._take(data, inner.pop(), 1, (5, 15), 0)

    def _take(
        self, data: mmap.mmap, span: Span, nodes: int, tensors: tuple[int, ...], defaults: int
    ) -> list[Span]:
        inner = []
        for number, field in _walk(data, *span):
            if number == nodes:
                name = ["", "", ""]
                for key, content in _fields(data, field, (4, 5, 7, 8)):
                    if key == 5:
                        inner += self._attribute(data, content)
                    else:
                        name[{7: 0, 4: 1, 8: 2}[key]] = _text(data, content)
                self.nodes.append((name[0], name[1], name[2]))
            elif number in tensors:
                self._tensor(data, field, sparse=number == 15)
            elif number == defaults:
                inner += self._attribute(data, field)
        return inner

    def _attribute(self, data: mmap.mmap, span: Any) -> list[Span]:
        graphs = []
        for number, field in _fields(data, span, (5, 6, 10, 11, 22, 23)):
            if number in (6, 11):
                graphs.append(field)
            else:
                self._tensor(data, field, sparse=number >= 22)
        return graphs

    def _tensor(self, data: mmap.mmap, span: Any, *, sparse: bool) -> None:
        spans = [part for _, part in _fields(data, span, (1, 2))] if sparse else [span]
        self.tensors += [_tensor(data, part) for part in spans]


def _check_calls(main: _Part, functions: dict[Name, _Part]) -> None:
    """Refuse functions that call themselves, or each other too deep or too often."""
    counts: dict[Name, int] = {}  # nodes of a function with all that it calls put in
    path: list[Name] = []
    todo: list[tuple[Name | None, bool]] = [(None, False)]
    while todo:
        name, done = todo.pop()
        part = main if name is None else functions[name]
        called = [node for node in part.nodes if node in functions]
        if done:
            total = len(part.nodes) + sum(counts[node] for node in called)
            if total > MOST_NODES:
                raise _RefusedError(f"its functions put into the graph make over {MOST_NODES:,} nodes")
            if name is not None:
                counts[name] = total
                path.pop()
            continue
        if name in counts:
            continue
        if name is not None:
            if name in path:
                raise _RefusedError(f"its function {name[1]!r} calls itself")
            path.append(name)
        if len(path) > DEEPEST_CALLS:
            raise _RefusedError(f"its functions call each other over {DEEPEST_CALLS} deep")
        todo.append((name, True))
        todo += [(node, False) for node in set(called) - counts.keys()]


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A weight's name, where its numbers are if not in the graph's own file, and `Graph.wide_int8`."""

    name: str
    weights: Weights | None
    wide: bool


def _tensor(data: mmap.mmap, span: Span) -> _Tensor:
    name, element, raw, outside = "", 0, None, {}
    sizes: list[int] = []
    for number, field in _fields(data, span, (1, 2, 8, 9, 13)):
        if number == 1:
            sizes += [field] if isinstance(field, int) else _packed(data, field)
        elif number == 2:
            element = _number(field)
        elif number == 8:
            name = _text(data, field)
        elif number == 9:
            raw = field
        else:
            entry = {key: _text(data, text) for key, text in _fields(data, field, (1, 2))}
            outside[entry.get(1, "")] = entry.get(2, "")
    numbers = _count(name, sizes)
    length = -(-numbers * BITS.get(element, 0) // 8)
    if outside:
        return _Tensor(name, _outside(name, outside, length), False)
    # Where numbers are not raw, each takes a byte at least; those of 2 or 4 bits share one.
    held = raw[1] - raw[0] if raw else span[1] - span[0]
    if (length if raw else numbers / 4) > held:
        raise _RefusedError(f"its tensor {name!r} claims {numbers:,} numbers and has {held:,} bytes")
    wide = False
    if raw and element == INT8 and len(sizes) >= 2:
        values = np.frombuffer(data[raw[0] : raw[1]], np.int8)
        wide = bool(len(values)) and (int(values.max()) > 64 or int(values.min()) < -64)
    return _Tensor(name, None, wide)


def _count(name: str, sizes: list[int]) -> int:
    """How many numbers a tensor of these sizes has."""
    if len(sizes) > MOST_AXES:
        raise _RefusedError(f"its tensor {name!r} has {len(sizes):,} axes")
    if any(size >= 2**63 for size in sizes):
        raise _RefusedError(f"its tensor {name!r} has an axis of negative length")
    return math.prod(sizes)


def _outside(name: str, entries: dict[str, str], length: int) -> Weights:
    """Where the numbers of a tensor are that has them in another file, and how far they go."""
    start = int(entries.get("offset", "0"))
    if start < 0:
        raise _RefusedError(f"its tensor {name!r} begins before its file does")
    return Weights(entries.get("location", ""), start, start + max(length, int(entries.get("length", "0"))))


def _packed(data: mmap.mmap, span: Span) -> list[int]:
    place, found = span[0], []
    while place < span[1]:
        number, place = _varint(data, place)
        found.append(number)
    return found


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


def _walk(data: mmap.mmap, place: int, end: int) -> Iterator[tuple[int, Any]]:
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
            raise ValueError("a number of over 64 bits")


def _number(content: Any) -> int:
    if not isinstance(content, int):
        raise ValueError("a message where a number should be")
    return content


def _text(data: mmap.mmap, span: Span) -> str:
    return data[span[0] : span[1]].decode()
