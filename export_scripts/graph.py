"""The graph: a model's own modules, from token ids to sentence embedding, as one ONNX file."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_scripts.source import first_line
from lightmine.encoding.bundle import MODEL
from lightmine.errors import BundleError

if TYPE_CHECKING:
    import onnx
    import torch
    from sentence_transformers import SentenceTransformer

OPSET = 17
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "sentence_embedding"
# A protobuf file ends at 2 GiB; the margin is for everything in it that is no weight.
LARGEST_FILE = 2**31 - 2**24
# What tracing always says. Python values frozen into the graph are what the parity check is for,
# dynamo=False is chosen because ONNX Runtime's transformer fusions know its graphs only, and the
# pooling and mask code of these libraries indexes with nothing negative.
EXPECTED_WARNINGS = (
    (DeprecationWarning, "You are using the legacy TorchScript-based ONNX export"),
    (DeprecationWarning, "The feature will be removed. Please remove usage of this function"),
    (UserWarning, "Exporting aten::index operator of advanced indexing"),
)


def write_graph(model: SentenceTransformer, folder: Path, *, opset: int = OPSET) -> None:
    """Write `model` to `folder` as one graph, with its weights beside it where they are over 2 GB."""
    import onnx

    scratch = folder / "traced"
    scratch.mkdir()
    try:
        graph = onnx.load(_trace(model, scratch / MODEL, opset=opset))
        large = graph.ByteSize() > LARGEST_FILE
        if not large:
            graph = _clean(graph, scratch / "clean.onnx")
    except Exception as error:  # the tracer raises whatever the model's own code raises
        kind = model.transformers_model.config.model_type
        raise BundleError(f"a model of type {kind} cannot be traced: {first_line(error)}") from error
    # Tracing leaves the width as a name.
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = model.get_embedding_dimension()
    onnx.save(graph, folder / MODEL, save_as_external_data=large, location=MODEL + ".data")
    # Checked by its path, as a graph with its weights beside it must be.
    onnx.checker.check_model(str(folder / MODEL), full_check=not large)
    for leftover in scratch.iterdir():
        leftover.unlink()
    scratch.rmdir()


def is_normalized(model: SentenceTransformer) -> bool:
    """Whether the model's own last module gives unit rows."""
    return type(model[-1]).__name__ == "Normalize"


def _trace(model: SentenceTransformer, path: Path, *, opset: int) -> Path:
    import torch

    # Two rows of unequal length, so that no size is 1 and there is padding in what is traced.
    example = model.tokenizer(["one", "a somewhat longer example"], padding=True, return_tensors="pt")
    with _quiet_tracing(), torch.inference_mode():
        torch.onnx.export(
            _whole(model),
            tuple(example[name] for name in INPUTS),
            str(path),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in INPUTS} | {OUTPUT: {0: "batch"}},
            opset_version=opset,
            do_constant_folding=True,
            dynamo=False,
        )
    return path


def _whole(model: SentenceTransformer) -> torch.nn.Module:
    """The model as a function of ids and mask; sentence-transformers' own modules do the work.

    A bundle's rows have unit length, so a model that does not see to that is normalised here.
    """
    import torch

    typed = "token_type_ids" in model.tokenizer.model_input_names
    normalized = is_normalized(model)

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chain = torch.nn.ModuleList(model)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
            if typed:
                features["token_type_ids"] = torch.zeros_like(input_ids)
            for module in self.chain:
                features = module(features)
            rows = features[OUTPUT]
            return rows if normalized else torch.nn.functional.normalize(rows)

    return Whole().eval()


def _clean(graph: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Fold constants and drop what does nothing; every operator stays one of ONNX's own.

    This is ONNX Runtime's basic level: half of the traced nodes go, and the transformer fusions
    still find all their patterns.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    clean = onnx.load(path)
    used = {node.domain for node in clean.graph.node}
    for opset in [opset for opset in clean.opset_import if opset.domain not in used]:
        clean.opset_import.remove(opset)
    return clean


@contextlib.contextmanager
def _quiet_tracing() -> Iterator[None]:
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        for category, message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield
