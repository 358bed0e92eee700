"""The header of an ONNX file: inputs, outputs, operators and weights, read without loading the weights.

The file is one protobuf message, ModelProto of onnx.proto3. It is read field by field, and the content of
fields that are not needed is skipped, so a graph of gigabytes takes milliseconds. What would end ONNX
Runtime's process, or lead out of the model's folder, is refused here, before the file is given to it.
"""

from __future__ import annotations

import dataclasses
import mmap
from pathlib import Path
from typing import Any

from lightmine.errors import BundleError, one_line
from lightmine.untrusted.model_paths import own_file
from lightmine.untrusted.onnx_tensors import ExternalWeights, RefusedGraphError, Tensor, read_tensor
from lightmine.untrusted.protobuf import Span, fields, text, walk, whole_number

# TensorProto.DataType
FLOAT, INT32, INT64, FLOAT16 = 1, 6, 7, 10
# ONNX Runtime inlines functions by recursion. On a thread's usual 8 MiB of stack, a chain of 1,000 loads and
# one of 3,000 ends the process. Real graphs have chains of a few.
DEEPEST_CALLS = 100
# Nodes after functions are inlined. The largest known graphs have some ten thousand; thirty functions that
# each call the next one twice have a billion.
MOST_NODES = 1_000_000
# Operators that choose one scale for their whole input, so that all sentences of a batch share it.
BATCH_SCALED = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
# A node's or a function's domain, operator and overload.
Name = tuple[str, str, str]


@dataclasses.dataclass(frozen=True)
class Value:
    """A graph's input or output; sizes that are not fixed are None, as is a shape that is not said."""

    name: str
    element: int
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class Graph:
    """Inputs and outputs, the operators used, and the external weights: those in files of their own.

    ``wide_int8`` tells that a signed 8-bit matrix uses more than 7 of its bits.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    operators: frozenset[str]
    weights: tuple[ExternalWeights, ...] = ()
    wide_int8: bool = False

    @property
    def weight_files(self) -> frozenset[str]:
        """Names of the files of external weights."""
        return frozenset(weights.file for weights in self.weights)


def read_graph(path: Path) -> Graph:
    """Read the header of an ONNX file, and check what it claims.

    Raises
    ------
    BundleError
        The file cannot be opened, is no ONNX graph, claims more values than it has bytes for, or has
        functions that call each other without end.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _model(data)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    except RefusedGraphError as error:
        raise BundleError(f"{path}: {one_line(error)}; fetch it again, or do not trust it") from None
    except (ValueError, IndexError, TypeError):  # an empty file cannot be mapped; a short one ends in a field
        raise BundleError(f"{path}: not an ONNX graph, or cut short; fetch or export it again") from None


def check_weights(path: Path, graph: Graph) -> None:
    """Check that the files of external weights exist, are in the graph's folder, and are long enough.

    Raises
    ------
    BundleError
        The message names the file.
    """
    for name in sorted(graph.weight_files):
        # ONNX Runtime reads some names as addresses in memory.
        if not name or name.startswith("*"):
            raise BundleError(f"{path}: its weights are in {name!r}, which is no file")
        size = own_file(path.parent, name).stat().st_size
        for weights in graph.weights:
            if weights.file == name and weights.end > size:
                raise BundleError(
                    f"{path.parent / name}: has {size:,} bytes, and weights are to end at {weights.end:,}; "
                    "fetch it again"
                )


def _model(data: mmap.mmap) -> Graph:
    model = fields(data, (0, len(data)), (7, 25))
    graphs = [span for number, span in model if number == 7]
    if len(graphs) != 1:
        raise ValueError("no graph")
    main = _Part()
    main.walk(data, graphs[0], nodes=1)
    functions: dict[Name, _Part] = {}
    for number, span in model:
        if number == 25:
            words = {key: text(data, content) for key, content in fields(data, span, (1, 10, 13))}
            name = words.get(10, ""), words.get(1, ""), words.get(13, "")
            functions[name] = _Part()
            functions[name].walk(data, span, nodes=7)
    _check_calls(main, functions)
    parts = (main, *functions.values())
    tensors = [tensor for part in parts for tensor in part.tensors]
    names = {tensor.name for tensor in main.tensors}
    ends = [(number, _value(data, span)) for number, span in fields(data, graphs[0], (11, 12))]
    return Graph(
        # Old graphs list their weights among the inputs.
        inputs=tuple(value for number, value in ends if number == 11 and value.name not in names),
        outputs=tuple(value for number, value in ends if number == 12),
        operators=frozenset(name for part in parts for _, name, _ in part.nodes),
        weights=tuple(tensor.weights for tensor in tensors if tensor.weights),
        wide_int8=any(tensor.wide for tensor in tensors),
    )


class _Part:
    """Nodes and tensors of a graph or function, with those of the graphs inside its nodes."""

    def __init__(self) -> None:
        self.nodes: list[Name] = []
        self.tensors: list[Tensor] = []

    def walk(self, data: mmap.mmap, span: Span, *, nodes: int) -> None:
        """Read a message whose field `nodes` has the nodes, and then the graphs inside them."""
        inner = self._take(data, span, nodes, (5, 15) if nodes == 1 else (), 11 if nodes == 7 else 0)
        while inner:
            inner += self._take(data, inner.pop(), 1, (5, 15), 0)

    def _take(
        self, data: mmap.mmap, span: Span, nodes: int, tensors: tuple[int, ...], defaults: int
    ) -> list[Span]:
        inner = []
        for number, field in walk(data, *span):
            if number == nodes:
                name = ["", "", ""]
                for key, content in fields(data, field, (4, 5, 7, 8)):
                    if key == 5:
                        inner += self._attribute(data, content)
                    else:
                        name[{7: 0, 4: 1, 8: 2}[key]] = text(data, content)
                self.nodes.append((name[0], name[1], name[2]))
            elif number in tensors:
                self._read_tensors(data, field, sparse=number == 15)
            elif number == defaults:
                inner += self._attribute(data, field)
        return inner

    def _attribute(self, data: mmap.mmap, span: Any) -> list[Span]:
        graphs = []
        for number, field in fields(data, span, (5, 6, 10, 11, 22, 23)):
            if number in (6, 11):
                graphs.append(field)
            else:
                self._read_tensors(data, field, sparse=number >= 22)
        return graphs

    def _read_tensors(self, data: mmap.mmap, span: Any, *, sparse: bool) -> None:
        spans = [part for _, part in fields(data, span, (1, 2))] if sparse else [span]
        self.tensors += [read_tensor(data, part) for part in spans]


def _check_calls(main: _Part, functions: dict[Name, _Part]) -> None:
    """Refuse functions that call themselves, or each other too deep or too often."""
    counts: dict[Name, int] = {}  # nodes of a function after the functions that it calls are inlined
    path: list[Name] = []
    todo: list[tuple[Name | None, bool]] = [(None, False)]
    while todo:
        name, done = todo.pop()
        part = main if name is None else functions[name]
        called = [node for node in part.nodes if node in functions]
        if done:
            total = len(part.nodes) + sum(counts[node] for node in called)
            if total > MOST_NODES:
                raise RefusedGraphError(f"its functions put into the graph make over {MOST_NODES:,} nodes")
            if name is not None:
                counts[name] = total
                path.pop()
            continue
        if name in counts:
            continue
        if name is not None:
            if name in path:
                raise RefusedGraphError(f"its function {name[1]!r} calls itself")
            path.append(name)
        if len(path) > DEEPEST_CALLS:
            raise RefusedGraphError(f"its functions call each other over {DEEPEST_CALLS} deep")
        todo.append((name, True))
        todo += [(node, False) for node in set(called) - counts.keys()]


def _value(data: mmap.mmap, span: Span) -> Value:
    name, element = "", 0
    shape: list[int | None] | None = None
    for number, field in fields(data, span, (1, 2)):
        if number == 1:
            name = text(data, field)
            continue
        for _, tensor in fields(data, field, (1,)):
            for key, content in fields(data, tensor, (1, 2)):
                if key == 1:
                    element = whole_number(content)
                else:
                    axes = [dict(fields(data, axis, (1,))) for _, axis in fields(data, content, (1,))]
                    shape = [whole_number(axis.get(1, 0)) or None for axis in axes]
    return Value(name, element, None if shape is None else tuple(shape))
