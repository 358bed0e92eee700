"""Calibration: what a graph's activations look like on sentences, and smoothing by what was seen.

A few channels of a transformer's activations are far larger than the rest, and 8 bits that must reach
them leave little for the others. Smoothing moves that size into the weights, which lose less by it
(SmoothQuant: Xiao et al. 2023, section 4): every channel is divided by a factor, the weights' row
multiplied by it, and the product stays what it was.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from lightmine.encoder.providers import runtime, session_options
from lightmine.export.edit import Edit, products, weights_of
from lightmine.export.files import save_graph

SENTENCES = Path(__file__).with_name("calibration.txt")
Feed = Mapping[str, np.ndarray]
# Channels of the widest activation whose rows are multiplied with themselves: 4 bytes for each pair of them.
LARGEST_GRAM = 4096
SENTENCES_AT_ONCE = 32


@dataclasses.dataclass(frozen=True)
class Seen:
    """What calibration saw of an activation.

    ``low`` and ``high`` are the lowest and highest value of each channel, float32 arrays of shape
    (channels,); ``gram`` is the sum of its rows multiplied with themselves, (channels, channels), None
    where that would be too large.
    """

    low: np.ndarray
    high: np.ndarray
    gram: np.ndarray | None

    @classmethod
    def of(cls, rows: np.ndarray) -> Seen:
        gram = rows.T @ rows if rows.shape[1] <= LARGEST_GRAM else None
        return cls(rows.min(axis=0), rows.max(axis=0), gram)

    def and_also(self, other: Seen) -> Seen:
        gram = None if self.gram is None or other.gram is None else self.gram + other.gram
        return Seen(np.minimum(self.low, other.low), np.maximum(self.high, other.high), gram)

    @property
    def largest(self) -> np.ndarray:
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def divided(self, factors: np.ndarray) -> Seen:
        gram = None if self.gram is None else self.gram / np.outer(factors, factors)
        return Seen(self.low / factors, self.high / factors, gram)


def observe(graph: onnx.ModelProto, feeds: Iterable[Feed], *, scratch: Path) -> dict[str, Seen]:
    """Run the graph on each feed; what is seen of every activation that meets a weight matrix."""
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
    found: dict[str, Seen] = {}
    feeds = iter(feeds)
    # Many sentences at once: adding up the large matrices costs more than multiplying a sentence's few rows.
    while some := list(itertools.islice(feeds, SENTENCES_AT_ONCE)):
        runs = [session.run(names, dict(feed)) for feed in some]
        for name, values in zip(names, zip(*runs, strict=True), strict=True):
            seen = Seen.of(np.concatenate([rows.reshape(-1, rows.shape[-1]) for rows in values]))
            found[name] = found[name].and_also(seen) if name in found else seen
    return found


def smooth(
    graph: onnx.ModelProto, seen: Mapping[str, Seen], *, strength: float
) -> tuple[onnx.ModelProto, dict[str, Seen]]:
    """Divide the channels of activations before the products, and multiply the weights.

    Parameters
    ----------
    strength
        How much of the channels' differences goes to the weights, 0 to 1.

    Returns
    -------
    graph, seen
        The graph, which computes the same, and what calibration would see now.
    """
    weights = weights_of(graph)
    readers: dict[str, list[onnx.NodeProto]] = {}
    uses: dict[str, int] = {}
    for node in products(graph):
        readers.setdefault(node.input[0], []).append(node)
        uses[node.input[1]] = uses.get(node.input[1], 0) + 1
    factors_of = {
        name: _factors(
            seen[name].largest,
            np.max([np.abs(weights[node.input[1]]).max(axis=1) for node in nodes], axis=0),
            strength,
        )
        for name, nodes in readers.items()
    }
    edit = Edit(graph)
    changed = dict(seen)
    for node in edit.nodes():
        name = node.input[0] if node.input else ""
        # A matrix that two activations share cannot take the factors of both.
        if name in factors_of and node.op_type == "MatMul" and uses.get(node.input[1]) == 1:
            factors = factors_of[name]
            smoothed = name + "/smooth"
            if smoothed not in changed:
                edit.add("Mul", [name, edit.constant(smoothed + "/factors", 1 / factors)], smoothed)
                changed[smoothed] = seen[name].divided(factors)
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
