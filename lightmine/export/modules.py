"""The modules after the transformer (pooling, dense layers, normalisation) as nodes of an ONNX graph.

They compute what `lightmine.loading.modules` computes in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, version_converter

from lightmine.encoder.runtime import POOLING_MASK
from lightmine.errors import BundleError, error_line
from lightmine.export.edit import Edit
from lightmine.loading.modules import (
    SENTENCE,
    TOKENS,
    Dense,
    LayerNorm,
    Module,
    Normalize,
    Pooling,
    PostProcessing,
    Truncate,
)

# LayerNormalization is an operator since this version.
OLDEST_OPSET = 17
PREFIX = "/head/"
GIVEN = "/given"


def with_modules(graph: onnx.ModelProto, post: PostProcessing) -> onnx.ModelProto:
    """The graph followed by the modules, with rows of unit length.

    Raises
    ------
    BundleError
        The graph's operator set is too old to be converted, or a module cannot be written in ONNX.
    """
    graph = _recent(graph)
    _rename(graph, SENTENCE, GIVEN)
    edit = Edit(graph)
    for node in edit.nodes():
        edit.keep(node)
    builder = _Builder(edit)
    features = {
        post.feature: builder.add(
            "Cast", [GIVEN if post.output == SENTENCE else post.output], "/input", to=TensorProto.FLOAT
        )
    }
    for place, module in enumerate(post.modules):
        builder.prefix = f"{PREFIX}{place}"
        builder.write(module, features)
    builder.prefix = f"{PREFIX}unit"
    builder.unit(features[SENTENCE], SENTENCE)
    finished = edit.done()
    inner = finished.graph
    del inner.output[:]
    inner.output.append(helper.make_tensor_value_info(SENTENCE, TensorProto.FLOAT, ["batch", "width"]))
    if any(isinstance(module, Pooling) and not module.include_prompt for module in post.modules):
        inner.input.append(
            helper.make_tensor_value_info(POOLING_MASK, TensorProto.INT64, ["batch", "tokens"])
        )
    # Nodes that nothing uses now are removed when constants are folded.
    return finished


def _recent(graph: onnx.ModelProto) -> onnx.ModelProto:
    version = next(opset.version for opset in graph.opset_import if opset.domain in ("", "ai.onnx"))
    if version >= OLDEST_OPSET:
        return graph
    try:
        return version_converter.convert_version(graph, OLDEST_OPSET)
    except Exception as error:  # the converter raises errors of many kinds
        why = error_line(error, 0)
        raise BundleError(
            f"the graph's operator set {version} cannot be converted to {OLDEST_OPSET}: {why}"
        ) from error


def _rename(graph: onnx.ModelProto, old: str, new: str) -> None:
    """Rename a tensor, because the graph may already use the name of our output."""
    for node in graph.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in graph.graph.output:
        value.name = new if value.name == old else value.name


class _Builder:
    def __init__(self, edit: Edit) -> None:
        self._edit = edit
        self.prefix = PREFIX + "in"

    def add(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        return self._edit.add(kind, inputs, self.prefix + name, **attributes)

    def constant(self, name: str, values: object) -> str:
        return self._edit.constant(self.prefix + name, values)

    def write(self, module: Module, features: dict[str, str]) -> None:
        """Add the nodes of a module, and record its outputs in `features`."""
        if isinstance(module, Pooling):
            parts = [self.pool(mode, features[TOKENS], module.include_prompt) for mode in module.modes]
            features[SENTENCE] = parts[0] if len(parts) == 1 else self.add("Concat", parts, "/all", axis=1)
        elif isinstance(module, Dense):
            features[module.to] = self.dense(module, features[module.feature])
        elif isinstance(module, LayerNorm):
            scale, shift = self.constant("/scale", module.weight), self.constant("/shift", module.bias)
            given = [features[SENTENCE], scale, shift]
            features[SENTENCE] = self.add("LayerNormalization", given, "/normal", axis=-1, epsilon=1e-5)
        elif isinstance(module, Normalize):
            features[module.to] = self.unit(features[module.feature])
        elif isinstance(module, Truncate):
            bounds = [
                self.constant(f"/{what}", np.array([value]))
                for what, value in (("first", 0), ("end", module.dimension), ("axis", 1))
            ]
            features[SENTENCE] = self.add("Slice", [features[SENTENCE], *bounds], "/cut")
        else:
            raise BundleError(f"module {type(module).__name__} cannot be written in ONNX")

    def unit(self, rows: str, output: str | None = None) -> str:
        """Rows of unit length."""
        squares = self.add("Mul", [rows, rows], "/squares")
        last = self.constant("/last", np.array([-1]))
        norms = self.add("Sqrt", [self.add("ReduceSum", [squares, last], "/sum", keepdims=1)], "/norms")
        norms = self.add("Max", [norms, self.constant("/least", np.float32(1e-12))], "/norm")
        return self._edit.add("Div", [rows, norms], output or self.prefix + "/unit")

    def pool(self, mode: str, tokens: str, include_prompt: bool) -> str:
        """One mode of pooling; the formulas are those of `lightmine.loading.modules`."""
        name = f"/{mode}"
        mask = self.add("Cast", ["attention_mask"], name + "/mask", to=TensorProto.INT64)
        inside = mask if include_prompt else POOLING_MASK
        if mode in ("cls", "lasttoken"):
            last = int(mode == "lasttoken")
            at = self.add("ArgMax", [inside], name + "/at", axis=1, keepdims=1, select_last_index=last)
            return self.add("GatherND", [tokens, at], name + "/token", batch_dims=1)
        middle = self.constant(name + "/middle", np.array([2 if mode == "max" else 1]))
        if mode == "max":
            flags = self.add("Cast", [inside], name + "/flags", to=TensorProto.BOOL)
            flags = self.add("Unsqueeze", [flags, middle], name + "/wide")
            least = self.constant(name + "/least", np.float32(-np.inf))
            kept = self.add("Where", [flags, tokens, least], name + "/kept")
            turned = self.add("Transpose", [kept], name + "/turned", perm=[0, 2, 1])
            most = self._edit.reduce("ReduceMax", turned, self.prefix + name + "/most")
            return self.add("Squeeze", [most, middle], name + "/max")
        weights = inside
        if mode == "weightedmean":
            axis = self.constant(name + "/axis", np.int64(1))
            weights = self.add(
                "Mul", [self.add("CumSum", [mask, axis], name + "/place"), inside], name + "/w"
            )
        weights = self.add("Cast", [weights], name + "/weights", to=TensorProto.FLOAT)
        total = self.add("ReduceSum", [weights, middle], name + "/total", keepdims=1)
        total = self.add("Max", [total, self.constant(name + "/tiny", np.float32(1e-9))], name + "/some")
        if mode == "mean_sqrt_len_tokens":
            total = self.add("Sqrt", [total], name + "/root")
        row = self.add("Unsqueeze", [weights, middle], name + "/row")
        summed = self.add(
            "Squeeze", [self.add("MatMul", [row, tokens], name + "/sum"), middle], name + "/flat"
        )
        return self.add("Div", [summed, total], name + "/mean")

    def dense(self, module: Dense, x: str) -> str:
        """A linear layer, its activation and its residual connection."""
        weight = self.constant("/weight", np.ascontiguousarray(module.weight.T))
        out = self.add("MatMul", [x, weight], "/product")
        if module.bias is not None:
            out = self.add("Add", [out, self.constant("/bias", module.bias)], "/biased")
        out = self.activate(module.activation, out)
        if not module.use_residual:
            return out
        if module.residual is not None:
            residual = self.constant("/residual", np.ascontiguousarray(module.residual.T))
            x = self.add("MatMul", [x, residual], "/beside")
        return self.add("Add", [out, x], "/both")

    def activate(self, activation: str, x: str) -> str:
        plain = {"Tanh": "Tanh", "ReLU": "Relu", "Sigmoid": "Sigmoid"}
        if activation == "Identity":
            return x
        if activation in plain:
            return self.add(plain[activation], [x], "/active")
        if activation == "SiLU":
            return self.add("Mul", [x, self.add("Sigmoid", [x], "/gate")], "/active")
        if activation == "GELU":
            root, one, half = (
                self.constant(f"/{name}", np.float32(value))
                for name, value in (("root", np.sqrt(2)), ("one", 1), ("half", 0.5))
            )
            erf = self.add("Erf", [self.add("Div", [x, root], "/scaled")], "/erf")
            gate = self.add("Mul", [self.add("Add", [erf, one], "/raised"), half], "/gate")
            return self.add("Mul", [x, gate], "/active")
        raise BundleError(f"activation {activation} cannot be written in ONNX")
