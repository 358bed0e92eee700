"""The recipe: from the graph as it was traced to the graph of the bundle."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from lightmine.encoder.tokenizer import Tokenizer
from lightmine.errors import ArgumentError
from lightmine.export.arguments import INT8, LEVELS, PRECISIONS, TARGETS
from lightmine.export.calibrate import Feed
from lightmine.export.optimize import TransformerShape, optimize
from lightmine.export.quantize import find_target, quantize
from lightmine.export.sentences import CALIBRATION, read_sentences
from lightmine.loading.bundle import TOKENIZER, Manifest

# The names of nodes after the transformer: those that tracing gives, and ours.
TRACED_AFTER_TRANSFORMER = re.compile(r"/(?!chain\.0/)")
OURS_AFTER_TRANSFORMER = re.compile(r"/?head/")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a graph is prepared for a bundle: level of optimisation, precision, and the processors to suit."""

    optimize: str = "basic"
    precision: str = "fp32"
    target: str = "any"
    calibration: Path = CALIBRATION

    def __post_init__(self) -> None:
        for name, choices in (("optimize", LEVELS), ("precision", PRECISIONS), ("target", TARGETS)):
            if getattr(self, name) not in choices:
                raise ArgumentError(f"{name} must be {', '.join(choices)}, not {getattr(self, name)!r}")

    def apply(
        self, graph: onnx.ModelProto, *, scratch: Path, shape: TransformerShape, manifest: Manifest
    ) -> onnx.ModelProto:
        """The bundle's graph; the folder above `scratch` holds the tokenizer, which calibration needs."""
        eight_bits = self.precision in INT8
        graph = optimize(graph, self.optimize, scratch=scratch, shape=shape, products_visible=eight_bits)
        if self.precision == "fp16":
            return _half(graph)
        if not eight_bits:
            return graph
        feeds = _feeds(scratch.parent, manifest, read_sentences(self.calibration))
        return quantize(graph, self.precision, target=find_target(self.target), feeds=feeds, scratch=scratch)

    def describe(self, manifest: Manifest, how: str) -> Manifest:
        """The manifest with the precision, the steps and the processors of this recipe."""
        steps = [how, f"optimize {self.optimize}"]
        eight_bits = self.precision in INT8
        if eight_bits:
            qmax = find_target(self.target).qmax
            steps += [f"{self.precision} for {self.target}", f"weights to {qmax}"]
        return dataclasses.replace(
            manifest,
            precision=self.precision,
            recipe=", ".join(steps),
            # In float16 the last bits of a sum depend on the shape of the product, which changes vectors.
            batch="dependent" if self.precision in ("int8-fast", "fp16") else "any",
            cpus=find_target(self.target).cpus if eight_bits else (),
        )


def _half(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The transformer in float16; pooling and what follows in float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    names = [node.name for node in graph.graph.node]
    traced = any(name.startswith("/chain.0/") for name in names)
    after = [
        name for name in names if (TRACED_AFTER_TRANSFORMER if traced else OURS_AFTER_TRANSFORMER).match(name)
    ]
    half = OnnxModel(convert_float_to_float16(graph, keep_io_types=True, node_block_list=after))
    # The converter adds a cast once for every node that reads it, at the end of the graph.
    once = {node.output[0]: node for node in half.model.graph.node}
    del half.model.graph.node[:]
    half.model.graph.node.extend(once.values())
    half.topological_sort()
    return half.model


def _feeds(folder: Path, manifest: Manifest, sentences: list[str]) -> Iterator[Feed]:
    """The graph's inputs for each sentence alone, with its prompt."""
    tokenizer = Tokenizer(folder / TOKENIZER, max_tokens=manifest.max_tokens)
    prompt = manifest.prompts.get(manifest.default_prompt or "", "")
    tokens, _ = tokenizer.ids([prompt + sentence for sentence in sentences])
    for start, end in itertools.pairwise(tokens.starts):
        ids = tokens.flat[start:end].astype(np.int64)[None]
        if ids.size:
            typed = {"token_type_ids": np.zeros_like(ids)} if "token_type_ids" in manifest.inputs else {}
            yield dict.fromkeys(manifest.inputs, np.ones_like(ids)) | {"input_ids": ids} | typed
