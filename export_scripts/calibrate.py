"""Calibration: what a graph's activations look like on sentences, and smoothing by what was seen.

A few channels of a transformer's activations are far larger than the rest, and 8 bits that must reach
them leave little for the others. Smoothing moves that size into the weights, which lose less by it
(SmoothQuant: Xiao et al. 2023, section 4): every channel is divided by a factor, the weights' row
multiplied by it, and the product stays what it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from export_scripts.edit import Edit, products, weights_of
from export_scripts.files import save_graph
from lightmine.encoding.providers import runtime, session_options

SENTENCES = Path(__file__).with_name("calibration.txt")
Feed = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Range:
    """The lowest and highest value of each channel, float32 arrays of shape (channels,)."""

    low: np.ndarray
    high: np.ndarray

    @property
    def largest(self) -> np.ndarray:
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def divided(self, factors: np.ndarray) -> Range:
        return Range(self.low / factors, self.high / factors)


def measure_ranges(graph: onnx.ModelProto, feeds: Iterable[Feed], *, scratch: Path) -> dict[str, Range]:
    """Run the graph on each feed; the range of every activation that meets a weight matrix."""
    names = list(dict.fromkeys(node.input[0] for node in products(graph)))
    if not names:
        return {}
    probed = onnx.ModelProto()
    probed.CopyFrom(graph)
    known = {value.name for value in probed.graph.output}
    probed.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in known
    )
    onnxruntime = runtime()
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(
        str(save_graph(probed, scratch / "probed.onnx")), options, providers=["CPUExecutionProvider"]
    )
    found: dict[str, Range] = {}
    for feed in feeds:
        for name, values in zip(names, session.run(names, dict(feed)), strict=True):
            rows = values.reshape(-1, values.shape[-1])
            low, high = rows.min(axis=0), rows.max(axis=0)
            if name in found:
                low, high = np.minimum(low, found[name].low), np.maximum(high, found[name].high)
            found[name] = Range(low, high)
    return found


def smooth(
    graph: onnx.ModelProto, ranges: Mapping[str, Range], *, strength: float, everywhere: bool
) -> tuple[onnx.ModelProto, dict[str, Range]]:
    """Divide the channels of activations before the products, and multiply the weights.

    Parameters
    ----------
    strength
        How much of the channels' differences goes to the weights, 0 to 1.
    everywhere
        All activations, or only what a LayerNormalization gives, which is where the large channels are.

    Returns
    -------
    graph, ranges
        The graph, which computes the same, and the ranges as they are now.
    """
    weights = weights_of(graph)
    producer = {name: node.op_type for node in graph.graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in products(graph):
        readers.setdefault(node.input[0], []).append(node)
    edit = Edit(graph)
    changed = dict(ranges)
    factors_of: dict[str, np.ndarray] = {}
    for name, nodes in readers.items():
        if everywhere or producer.get(name) == "LayerNormalization":
            largest = np.max([np.abs(weights[node.input[1]]).max(axis=1) for node in nodes], axis=0)
            factors_of[name] = _factors(ranges[name].largest, largest, strength)
    uses: dict[str, int] = {}
    for node in products(graph):
        uses[node.input[1]] = uses.get(node.input[1], 0) + 1
    for node in edit.nodes():
        name = node.input[0] if node.input else ""
        # A matrix that two activations share cannot take the factors of both.
        if name in factors_of and node.op_type == "MatMul" and uses.get(node.input[1]) == 1:
            factors = factors_of[name]
            smoothed = name + "/smooth"
            if smoothed not in changed:
                edit.add("Mul", [name, edit.constant(smoothed + "/factors", 1 / factors)], smoothed)
                changed[smoothed] = ranges[name].divided(factors)
            weight = edit.constant(node.input[1] + "/smooth", weights[node.input[1]] * factors[:, None])
            node.input[:] = [smoothed, weight]
        edit.keep(node)
    return edit.done(), changed


def _factors(activation: np.ndarray, weight: np.ndarray, strength: float) -> np.ndarray:
    """A factor a channel, of geometric mean 1; channels that are nothing stay as they are."""
    live = (activation > 0) & (weight > 0)
    factors = np.ones(len(activation))
    factors[live] = activation[live].astype(float) ** strength / weight[live].astype(float) ** (1 - strength)
    factors[live] /= np.exp(np.log(factors[live]).mean()) if live.any() else 1
    return factors.astype(np.float32)
