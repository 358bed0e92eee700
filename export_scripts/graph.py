"""The graph: a model's own modules, from token ids to sentence embedding, as one ONNX file."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_scripts.source import first_line
from lightmine.encoding.runtime import POOLING_MASK
from lightmine.errors import BundleError

if TYPE_CHECKING:
    import onnx
    import torch
    from sentence_transformers import SentenceTransformer

OPSET = 17
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "sentence_embedding"
# What tracing always says. Python values frozen into the graph are what the parity check is for,
# dynamo=False is chosen because ONNX Runtime's transformer fusions know its graphs only, and the
# pooling and mask code of these libraries indexes with nothing negative.
EXPECTED_WARNINGS = (
    (DeprecationWarning, "You are using the legacy TorchScript-based ONNX export"),
    (DeprecationWarning, "The feature will be removed. Please remove usage of this function"),
    (UserWarning, "Exporting aten::index operator of advanced indexing"),
)


def trace(model: SentenceTransformer, scratch: Path, *, opset: int = OPSET) -> tuple[onnx.ModelProto, str]:
    """`model` as one graph, and how it was made; `scratch` is a folder for what tracing writes."""
    import onnx

    try:
        graph = onnx.load(_trace(model, scratch / "traced.onnx", opset=opset))
    except Exception as error:  # the tracer raises whatever the model's own code raises
        kind = _kind(model)
        raise BundleError(f"a model of type {kind} cannot be traced: {first_line(error)}") from error
    return graph, f"torch.onnx.export, opset {opset}"


def is_normalized(model: SentenceTransformer) -> bool:
    """Whether the model's own last module gives unit rows."""
    return type(model[-1]).__name__ == "Normalize" and model.truncate_dim is None


def inputs_of(model: SentenceTransformer) -> tuple[str, ...]:
    """The graph's inputs: another mask where pooling leaves out a prompt's tokens."""
    return (*INPUTS, POOLING_MASK) if leaves_out_prompt(model) else INPUTS


def leaves_out_prompt(model: SentenceTransformer) -> bool:
    """Whether pooling takes in the sentence only, and the model has prompts to leave out."""
    apart = any(getattr(module, "include_prompt", True) is False for module in model)
    return apart and any(model.prompts.values())


def _kind(model: SentenceTransformer) -> str:
    config = getattr(model[0], "auto_model", None)
    return config.config.model_type if config is not None else type(model[0]).__name__


def _trace(model: SentenceTransformer, path: Path, *, opset: int) -> Path:
    import torch

    names = inputs_of(model)
    # Two rows of unequal length, so that no size is 1 and there is padding in what is traced.
    mask = torch.ones(2, 9, dtype=torch.int64)
    left = getattr(model.tokenizer, "padding_side", "right") == "left"
    mask[0, :4] = 0 if left else 1
    mask[0, 5:] = 1 if left else 0
    example = {"input_ids": torch.arange(2, 20).reshape(2, 9) % 11 + 1, "attention_mask": mask}
    example[POOLING_MASK] = mask
    with _quiet_tracing(), torch.inference_mode():
        torch.onnx.export(
            _whole(model),
            tuple(example[name] for name in names),
            str(path),
            input_names=list(names),
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names} | {OUTPUT: {0: "batch"}},
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

    typed = "token_type_ids" in getattr(model.tokenizer, "model_input_names", ())
    normalized, width = is_normalized(model), model.truncate_dim

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chain = torch.nn.ModuleList(model)

        def forward(
            self,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            pooling_mask: torch.Tensor | None = None,
        ) -> torch.Tensor:
            features: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
            if typed:
                features["token_type_ids"] = torch.zeros_like(input_ids)
            for module in self.chain:
                if type(module).__name__ == "StaticEmbedding":
                    features[OUTPUT] = _mean_of_rows(module.embedding.weight, input_ids, attention_mask)
                    continue
                if pooling_mask is not None and getattr(module, "include_prompt", True) is False:
                    features["attention_mask"] = pooling_mask
                features = module(features)
            rows = features[OUTPUT][:, :width] if width else features[OUTPUT]
            return rows if normalized else torch.nn.functional.normalize(rows)

    return Whole().eval()


def _mean_of_rows(table: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """What EmbeddingBag does, for ids and mask as matrices."""
    inside = mask.unsqueeze(-1).to(table.dtype)
    return (table[ids] * inside).sum(1) / inside.sum(1)


@contextlib.contextmanager
def _quiet_tracing() -> Iterator[None]:
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        for category, message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield
