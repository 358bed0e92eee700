"""Levels of optimisation. None of them changes what a graph computes.

none   the graph as it was traced
basic  constants folded and unused nodes removed; only ONNX's own operators, for every runtime
fused  ONNX Runtime's transformer fusions (attention, Gelu, embedding with its normalisation), for ONNX
       Runtime only. GELU stays exact. SkipLayerNormalization and BiasGelu are not used: on the CPU they are
       several times and twice slower than the operators that they replace.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import onnx

from lightmine.encoder.onnx_runtime import runtime
from lightmine.export.edit import MICROSOFT
from lightmine.export.files import is_large, save_graph

# ONNX Runtime's name for the family of fusions for an architecture. Those of bert fit every encoder: where a
# pattern is not found, nothing is fused.
FAMILIES = {"bart": "bart", "gpt2": "gpt2", "qwen3": "qwen3", "phi": "phi", "t5": "t5"}


@dataclasses.dataclass(frozen=True)
class TransformerShape:
    """The shape of a transformer, for the fusions; 0 if it is not known."""

    architecture: str = "bert"
    heads: int = 0
    width: int = 0

    @classmethod
    def of(cls, config: dict[str, Any]) -> TransformerShape:
        """Read it from a `config.json`; the names of its fields depend on the architecture."""
        heads = config.get("num_attention_heads") or config.get("n_heads") or 0
        width = config.get("hidden_size") or config.get("dim") or 0
        return cls(str(config.get("model_type", "bert")), int(heads), int(width))


def optimize(
    graph: onnx.ModelProto,
    level: str,
    *,
    scratch: Path,
    shape: TransformerShape,
    products_visible: bool = False,
) -> onnx.ModelProto:
    """The graph at one of `LEVELS`.

    Parameters
    ----------
    scratch
        A folder for the files that ONNX Runtime writes.
    shape
        The transformer's model type, number of attention heads and width.
    products_visible
        Keep every product with weights as a node of its own, as the quantizer needs it.
    """
    if level == "none":
        return graph
    graph = _basic(graph, scratch / "basic.onnx")
    return _fused(graph, shape, products_visible, scratch) if level == "fused" else graph


def _basic(graph: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    if is_large(graph):
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", path.name + ".data"
        )
    # By its path, because a graph over 2 GB cannot be passed in memory.
    before = save_graph(graph, path.with_name("unoptimized.onnx"))
    onnxruntime.InferenceSession(str(before), options, providers=["CPUExecutionProvider"])
    clean = onnx.load(path)
    used = {node.domain for node in clean.graph.node}
    for opset in [opset for opset in clean.opset_import if opset.domain not in used]:
        clean.opset_import.remove(opset)
    return clean


def _fused(
    graph: onnx.ModelProto, shape: TransformerShape, products_visible: bool, scratch: Path
) -> onnx.ModelProto:
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    family = FAMILIES.get(shape.architecture, "bert")
    wanted = FusionOptions(family)
    wanted.enable_skip_layer_norm = wanted.enable_bias_skip_layer_norm = False
    wanted.enable_gelu_approximation = wanted.enable_bias_gelu = False
    if products_visible:
        wanted.enable_attention = wanted.enable_embed_layer_norm = wanted.enable_qordered_matmul = False
    path = scratch / "unfused.onnx"
    save_graph(graph, path)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # opt_level 0: only these fusions.
        fused = optimizer.optimize_model(
            str(path),
            model_type=family,
            num_heads=shape.heads,
            hidden_size=shape.width,
            opt_level=0,
            optimization_options=wanted,
        ).model
    finally:
        logging.disable(before)
    if all(opset.domain != MICROSOFT for opset in fused.opset_import):
        fused.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, 1))
    return fused
