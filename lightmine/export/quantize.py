"""8-bit graphs: weights and embedding tables in int8, activations in uint8, products in int32.

The precisions differ in the scale of an activation:

int8         one scale for each row (token), from that row alone: a sentence's vector does not depend on the
             other sentences of the batch
int8-fast    one scale for the whole batch, computed at run time; ONNX Runtime fuses it into the product
int8-static  one scale, from the calibration sentences; OpenVINO runs this form in int8

Weights have one scale for each column, tables one for each row. Products of two activations (attention),
pooling and what follows stay in float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from threadpoolctl import threadpool_limits

from lightmine.export.calibrate import ActivationStats, Feed, observe, smooth
from lightmine.export.edit import MICROSOFT, Edit, products, weights_of
from lightmine.export.rounding import Rounding

# On x86 without VNNI two products of uint8 and int8 are added in int16, which can hold the sum only if one
# side has 7 bits.
REDUCED_QMAX, FULL_QMAX = 63, 127
ZERO_POINT = 128
# Tables with fewer rows stay in float32.
SMALL_TABLE = 64
# How much smoothing. Measured on all-MiniLM-L6-v2, mean and lowest cosine of 1,000 sentences:
# 0.9915/0.963 without smoothing and 0.9948/0.980 with it (int8-fast), 0.9960/0.980 and 0.9987/0.993
# (int8); for int8-static 0.9957/0.981 if only normalised activations are smoothed, 0.9973/0.989 if all are.
STRENGTH = {"int8": 0.7, "int8-fast": 0.7, "int8-static": 0.75}


@dataclasses.dataclass(frozen=True)
class Target:
    """The processors that a graph is for: the largest quantized weight, and the names in the manifest."""

    name: str
    qmax: int
    cpus: tuple[str, ...]


def find_target(name: str) -> Target:
    """The settings for a target.

    A graph with weights of reduced range is right on every processor. The runtime refuses one with full range
    on processors where it would saturate.
    """
    if name in ("any", "avx2", "avx512"):
        return Target(name, REDUCED_QMAX, ())
    return Target(name, FULL_QMAX, ("arm64",) if name == "arm64" else ("vnni", "amx"))


def quantize(
    graph: onnx.ModelProto, precision: str, *, target: Target, feeds: Iterable[Feed], scratch: Path
) -> onnx.ModelProto:
    """The graph in one of `PRECISIONS`, for a target, smoothed by what calibration measures on the feeds."""
    multiply = {
        "int8": _NodeWriter.by_rows,
        "int8-fast": _NodeWriter.by_batch,
        "int8-static": _NodeWriter.by_calibration,
    }
    # One thread gives the same bytes on every machine, and many small products do not wait for each other.
    with threadpool_limits(1, "blas"):
        graph, stats = smooth(graph, observe(graph, feeds, scratch=scratch), strength=STRENGTH[precision])
        wanted = {node.name or node.output[0] for node in products(graph)}
        weights = weights_of(graph)
        edit = Edit(graph)
        writer = _NodeWriter(edit, weights, target.qmax, stats)
        for node in edit.nodes():
            if node.op_type == "MatMul" and (node.name or node.output[0]) in wanted:
                multiply[precision](writer, node.input[0], node.input[1], node.output[0])
            elif _is_table(node, weights):
                writer.look_up(node.input[0], node.input[1], node.output[0])
            else:
                edit.keep(node)
    return edit.done()


def _is_table(node: onnx.NodeProto, weights: Mapping[str, np.ndarray]) -> bool:
    along_rows = all(attribute.i == 0 for attribute in node.attribute if attribute.name == "axis")
    table = weights.get(node.input[0]) if node.op_type == "Gather" else None
    return along_rows and table is not None and len(table) >= SMALL_TABLE


class _NodeWriter:
    """Writes the nodes that replace a product or a table."""

    def __init__(
        self, edit: Edit, weights: Mapping[str, np.ndarray], qmax: int, stats: Mapping[str, ActivationStats]
    ) -> None:
        self._edit, self._weights, self._qmax, self._stats = edit, weights, qmax, stats
        self._written: set[str] = set()
        self._rounding: tuple[str, Rounding] | None = None

    def by_rows(self, x: str, weight: str, output: str) -> None:
        """Each row of x is divided by its largest absolute value; the product's rows are multiplied by it."""
        edit = self._edit
        if self._first(x):
            edit.add("Abs", [x], x + "/abs")
            edit.reduce("ReduceMax", x + "/abs", x + "/max")
            tiny = edit.constant("/tiny", np.float32(1e-12))
            edit.add("Max", [x + "/max", tiny], x + "/largest")
            edit.add("Mul", [x + "/largest", edit.constant("/step", np.float32(1 / 127))], x + "/scale")
            edit.add("Div", [edit.constant("/levels", np.float32(127)), x + "/largest"], x + "/inverse")
            edit.add("Mul", [x, x + "/inverse"], x + "/scaled")
            edit.add("QuantizeLinear", [x + "/scaled", self._one(), self._zero()], x + "/quantized")
        quantized, scale = self._matrix(weight, x)
        no_shift = edit.constant("/no_shift", np.int8(0))
        edit.add(
            "MatMulIntegerToFloat",
            [x + "/quantized", quantized, self._one(), scale, self._zero(), no_shift],
            output + "/rows",
            domain=MICROSOFT,
        )
        edit.add("Mul", [output + "/rows", x + "/scale"], output)

    def by_batch(self, x: str, weight: str, output: str) -> None:
        """ONNX's dynamic quantization, in the form that ONNX Runtime fuses when it loads the graph."""
        edit = self._edit
        if self._first(x):
            edit.add("DynamicQuantizeLinear", [x], [x + "/quantized", x + "/scale", x + "/zero"])
        quantized, scale = self._matrix(weight, x)
        no_shift = edit.constant("/no_shift", np.int8(0))
        edit.add("MatMulInteger", [x + "/quantized", quantized, x + "/zero", no_shift], output + "/int32")
        edit.add("Cast", [output + "/int32"], output + "/float", to=onnx.TensorProto.FLOAT)
        edit.add("Mul", [x + "/scale", scale], output + "/scale")
        edit.add("Mul", [output + "/float", output + "/scale"], output)

    def by_calibration(self, x: str, weight: str, output: str) -> None:
        """Quantized and dequantized (QDQ); a runtime that knows this form computes the product in int8."""
        edit = self._edit
        if self._first(x):
            low = min(0.0, float(self._stats[x].low.min()))
            high = max(0.0, float(self._stats[x].high.max()))
            step = np.float32((high - low) / 255 or 1)
            scale = edit.constant(x + "/scale", step)
            zero = edit.constant(x + "/zero", np.uint8(np.clip(round(-low / float(step)), 0, 255)))
            edit.add("QuantizeLinear", [x, scale, zero], x + "/quantized")
            edit.add("DequantizeLinear", [x + "/quantized", scale, zero], x + "/dequantized")
        quantized, scale = self._matrix(weight, x)
        shifts = edit.constant(
            f"/no_shifts/{self._weights[weight].shape[1]}", np.zeros(self._weights[weight].shape[1], np.int8)
        )
        matrix = weight + "/dequantized"
        if self._first(matrix):
            edit.add("DequantizeLinear", [quantized, scale, shifts], matrix, axis=1)
        edit.add("MatMul", [x + "/dequantized", matrix], output)

    def look_up(self, table: str, ids: str, output: str) -> None:
        """Rows of an int8 table, each times its scale."""
        edit = self._edit
        values = self._weights[table]
        scales = _scales(values, axis=1, qmax=127)
        quantized = edit.constant(table + "/int8", np.rint(values / scales).astype(np.int8))
        edit.add("Gather", [quantized, ids], output + "/int8")
        edit.add("Cast", [output + "/int8"], output + "/float", to=onnx.TensorProto.FLOAT)
        edit.add("Gather", [edit.constant(table + "/scales", scales), ids], output + "/scale")
        edit.add("Mul", [output + "/float", output + "/scale"], output)

    def _matrix(self, weight: str, x: str) -> tuple[str, str]:
        """The names of a weight's int8 matrix, rounded for the activation x, and of its scales by column."""
        name, scale_name = weight + "/int8", weight + "/scales"
        if self._first(name):
            values = self._weights[weight]
            scales = _scales(values, axis=0, qmax=self._qmax).reshape(-1)
            gram = self._stats[x].gram
            if gram is None:
                quantized = np.rint(values / scales).astype(np.int8)
            else:
                # Queries, keys and values are products of the same x, one after another.
                if self._rounding is None or self._rounding[0] != x:
                    self._rounding = x, Rounding(gram)
                quantized = self._rounding[1].round(values, scales, qmax=self._qmax)
            self._edit.constant(name, quantized)
            self._edit.constant(scale_name, scales)
        return name, scale_name

    def _first(self, name: str) -> bool:
        if name in self._written:
            return False
        self._written.add(name)
        return True

    def _one(self) -> str:
        return self._edit.constant("/one", np.float32(1))

    def _zero(self) -> str:
        return self._edit.constant("/middle", np.uint8(ZERO_POINT))


def _scales(values: np.ndarray, *, axis: int, qmax: int) -> np.ndarray:
    """The scale of each column (axis 0) or row (axis 1); 1 for one of zeros."""
    largest = np.abs(values).max(axis=axis, keepdims=True)
    return (np.where(largest > 0, largest, qmax) / qmax).astype(np.float32)
