"""Rewriting a graph node by node: each node is kept or replaced, and constants are added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"


def weights_of(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The graph's float matrices by name."""
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.graph.initializer
        if len(tensor.dims) == 2 and tensor.data_type == onnx.TensorProto.FLOAT
    }


def products(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The products of an activation with a matrix of weights: most of a transformer's time and size."""
    matrices = {
        tensor.name
        for tensor in graph.graph.initializer
        if len(tensor.dims) == 2 and tensor.data_type == onnx.TensorProto.FLOAT
    }
    return [node for node in graph.graph.node if node.op_type == "MatMul" and node.input[1] in matrices]


class Edit:
    """A copy of a graph to rewrite: for each of `nodes`, `keep` it or `add` others; then take `done`."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self._graph = onnx.ModelProto()
        self._graph.CopyFrom(graph)
        self._old = list(self._graph.graph.node)
        self._new: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self.opset = next(opset.version for opset in graph.opset_import if opset.domain in ("", "ai.onnx"))

    def nodes(self) -> Iterator[onnx.NodeProto]:
        """The nodes of the original graph, in their order."""
        yield from self._old

    def keep(self, node: onnx.NodeProto) -> None:
        """Add a node without change."""
        self._new.append(node)

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        output: str | Sequence[str],
        *,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Add a new node, named by its first output; return that name."""
        outputs = [output] if isinstance(output, str) else list(output)
        self._new.append(
            helper.make_node(kind, list(inputs), outputs, name=outputs[0], domain=domain, **attributes)
        )
        return outputs[0]

    def reduce(self, kind: str, name: str, output: str) -> str:
        """A reduction over the last axis that keeps it, in the form that this operator set requires."""
        if self.opset >= 18:
            return self.add(kind, [name, self.constant("/last_axis", np.array([-1]))], output, keepdims=1)
        return self.add(kind, [name], output, axes=[-1], keepdims=1)

    def constant(self, name: str, values: Any) -> str:
        """Add a constant if it is new; return its name."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
            if np.ndim(values) == 0:
                self._constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def done(self) -> onnx.ModelProto:
        """The rewritten graph, without the constants that no node uses."""
        inner = self._graph.graph
        del inner.node[:]
        inner.node.extend(self._new)
        read = {name for node in self._new for name in node.input} | {value.name for value in inner.output}
        constants = [tensor for tensor in inner.initializer if tensor.name in read]
        constants += [tensor for name, tensor in self._constants.items() if name in read]
        del inner.initializer[:]
        for tensor in constants:
            # One by one: extend() serialises the tensors, which is limited to 2 GB.
            inner.initializer.add().CopyFrom(tensor)
        # The shapes recorded for the old nodes are not those of the new ones.
        del inner.value_info[:]
        domains = {opset.domain for opset in self._graph.opset_import}
        if MICROSOFT not in domains and any(node.domain == MICROSOFT for node in self._new):
            self._graph.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        return self._graph
