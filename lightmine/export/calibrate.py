"""Calibration: the range of a graph's activations on sentences, and smoothing by these ranges.

A few channels of a transformer's activations are far larger than the others. An 8-bit scale that includes
them is coarse for the others. Smoothing moves the size of these channels into the weights, which lose less
by it (SmoothQuant: Xiao et al. 2023, section 4): every channel is divided by a factor, and the weights' row
is multiplied by it, so the product does not change.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from lightmine.encoder.onnx_runtime import runtime, session_options
from lightmine.export.edit import Edit, products, weights_of
from lightmine.export.files import save_graph

Feed = Mapping[str, np.ndarray]
# The most channels of an activation whose matrix X'X is kept; it takes 4 bytes for each pair of channels.
LARGEST_GRAM = 4096
SENTENCES_AT_ONCE = 32


@dataclasses.dataclass(frozen=True)
class ActivationStats:
    """What calibration measured of an activation.

    ``low`` and ``high`` are the lowest and highest value of each channel, float32 arrays of shape
    (channels,). ``gram`` is the matrix X'X of its rows, (channels, channels), or None if that would be too
    large.
    """

    low: np.ndarray
    high: np.ndarray
    gram: np.ndarray | None

    @classmethod
    def from_rows(cls, rows: np.ndarray) -> ActivationStats:
        """Of the rows of one run, a float32 array of shape (n, channels)."""
        gram = rows.T @ rows if rows.shape[1] <= LARGEST_GRAM else None
        return cls(rows.min(axis=0), rows.max(axis=0), gram)

    def merged(self, other: ActivationStats) -> ActivationStats:
        """Of the rows of both."""
        gram = None if self.gram is None or other.gram is None else self.gram + other.gram
        return ActivationStats(np.minimum(self.low, other.low), np.maximum(self.high, other.high), gram)

    @property
    def largest(self) -> np.ndarray:
        """The largest absolute value of each channel."""
        largest: np.ndarray = np.maximum(np.abs(self.low), np.abs(self.high))
        return largest

    def divided(self, factors: np.ndarray) -> ActivationStats:
        """Of the rows divided by a factor for each channel."""
        gram = None if self.gram is None else self.gram / np.outer(factors, factors)
        return ActivationStats(self.low / factors, self.high / factors, gram)


def observe(graph: onnx.ModelProto, feeds: Iterable[Feed], *, scratch: Path) -> dict[str, ActivationStats]:
    """Run the graph on each feed; measure every activation that is multiplied by a weight matrix."""
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
    found: dict[str, ActivationStats] = {}
    feeds = iter(feeds)
    # Many sentences at once, because adding the large matrices costs more than the products of a few rows.
    while some := list(itertools.islice(feeds, SENTENCES_AT_ONCE)):
        runs = [session.run(names, dict(feed)) for feed in some]
        for name, values in zip(names, zip(*runs, strict=True), strict=True):
            stats = ActivationStats.from_rows(
                np.concatenate([rows.reshape(-1, rows.shape[-1]) for rows in values])
            )
            found[name] = found[name].merged(stats) if name in found else stats
    return found


def smooth(
    graph: onnx.ModelProto, stats: Mapping[str, ActivationStats], *, strength: float
) -> tuple[onnx.ModelProto, dict[str, ActivationStats]]:
    """Divide the channels of activations before the products, and multiply the weights.

    Parameters
    ----------
    strength
        How much of the differences between channels is moved to the weights, 0 to 1.

    Returns
    -------
    graph, stats
        The graph, which computes the same, and what calibration would measure now.
    """
    weights = weights_of(graph)
    readers: dict[str, list[onnx.NodeProto]] = {}
    uses: dict[str, int] = {}
    for node in products(graph):
        readers.setdefault(node.input[0], []).append(node)
        uses[node.input[1]] = uses.get(node.input[1], 0) + 1
    factors_of = {
        name: _factors(
            stats[name].largest,
            np.max([np.abs(weights[node.input[1]]).max(axis=1) for node in nodes], axis=0),
            strength,
        )
        for name, nodes in readers.items()
    }
    edit = Edit(graph)
    changed = dict(stats)
    for node in edit.nodes():
        name = node.input[0] if node.input else ""
        # A matrix that two activations share cannot be multiplied by the factors of both.
        if name in factors_of and node.op_type == "MatMul" and uses.get(node.input[1]) == 1:
            factors = factors_of[name]
            smoothed = name + "/smooth"
            if smoothed not in changed:
                edit.add("Mul", [name, edit.constant(smoothed + "/factors", 1 / factors)], smoothed)
                changed[smoothed] = stats[name].divided(factors)
            weight = edit.constant(node.input[1] + "/smooth", weights[node.input[1]] * factors[:, None])
            node.input[:] = [smoothed, weight]
        edit.keep(node)
    return edit.done(), changed


def _factors(activation: np.ndarray, weight: np.ndarray, strength: float) -> np.ndarray:
    """A factor for each channel, of geometric mean 1; the factor of a channel of zeros is 1."""
    live = (activation > 0) & (weight > 0)
    factors = np.ones(len(activation))
    factors[live] = activation[live].astype(float) ** strength / weight[live].astype(float) ** (1 - strength)
    factors[live] /= np.exp(np.log(factors[live]).mean()) if live.any() else 1
    return factors.astype(np.float32)
