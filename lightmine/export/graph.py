"""The graph: a model's own modules, from token ids to the sentence embedding, as one ONNX graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmine.encoder.runtime import POOLING_MASK
from lightmine.errors import BundleError, error_line

if TYPE_CHECKING:
    import onnx
    import torch
    from sentence_transformers import SentenceTransformer

OPSET = 17
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "sentence_embedding"
TOKEN_EMBEDDINGS = "token_embeddings"
# Architectures that TorchScript cannot trace, and the lowest operator set of transformers' exporter.
NOT_TRACEABLE = ("gemma3", "gemma3_text", "gemma3n_text")
TRANSFORMERS_OPSET = 18
# The warnings that every tracing gives. Python values that become constants of the graph are found by the
# gate. dynamo=False is needed because ONNX Runtime's transformer fusions know only its graphs. The pooling
# and mask code of these libraries uses no negative index.
EXPECTED_WARNINGS = (
    (DeprecationWarning, "You are using the legacy TorchScript-based ONNX export"),
    (DeprecationWarning, "The feature will be removed. Please remove usage of this function"),
    (UserWarning, "Exporting aten::index operator of advanced indexing"),
)


def trace(model: SentenceTransformer, scratch: Path, *, opset: int = OPSET) -> tuple[onnx.ModelProto, str]:
    """`model` as one graph, and how it was made; tracing writes into the folder `scratch`."""
    import onnx

    if _kind(model) in NOT_TRACEABLE:
        return export_through_transformers(model, scratch, opset=max(opset, TRANSFORMERS_OPSET))
    try:
        graph = onnx.load(_trace(model, scratch / "traced.onnx", opset=opset))
    except Exception as error:  # the tracer raises what the model's own code raises
        kind = _kind(model)
        raise BundleError(f"a model of type {kind} cannot be traced: {error_line(error, 0)}") from error
    return graph, f"torch.onnx.export, opset {opset}"


def export_through_transformers(
    model: SentenceTransformer, scratch: Path, *, opset: int = TRANSFORMERS_OPSET
) -> tuple[onnx.ModelProto, str]:
    """`model` as one graph: the transformer by transformers' own exporter, the modules after it traced."""
    import onnx
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    ids, mask = _example(model)
    body = model[0].auto_model
    # With a cache, the graph would have outputs that nobody uses.
    body.config.use_cache = False
    try:
        with _silence():
            exported = OnnxExporter().export(
                body,
                {"input_ids": ids, "attention_mask": mask},
                config=OnnxConfig(dynamic=True, opset_version=opset),
            )
            OnnxExporter.save_program(exported.program, scratch / "body.onnx")
        rest = _trace(model, scratch / "head.onnx", opset=opset, after_body=True)
        first, second = onnx.load(scratch / "body.onnx"), onnx.load(rest)
    except Exception as error:  # the exporter raises what the model's own code raises
        raise BundleError(
            f"transformers cannot export a model of type {_kind(model)}: {error_line(error, 0)}"
        ) from error
    return join(
        first, second, tokens=first.graph.output[0].name
    ), f"transformers' OnnxExporter, opset {opset}"


def join(body: onnx.ModelProto, rest: onnx.ModelProto, *, tokens: str) -> onnx.ModelProto:
    """The graphs of a transformer and of the modules after it as one graph; they share the mask."""
    import onnx

    rest = onnx.compose.add_prefix(rest, "head/", rename_inputs=False, rename_outputs=False)
    joined = onnx.ModelProto()
    joined.CopyFrom(body)
    del joined.graph.output[:]
    joined.graph.output.extend(rest.graph.output)
    have = {value.name for value in joined.graph.input}
    joined.graph.input.extend(
        value for value in rest.graph.input if value.name not in {*have, TOKEN_EMBEDDINGS}
    )
    for node in rest.graph.node:
        node.input[:] = [tokens if name == TOKEN_EMBEDDINGS else name for name in node.input]
    joined.graph.node.extend(rest.graph.node)
    joined.graph.initializer.extend(rest.graph.initializer)
    return joined


def is_normalized(model: SentenceTransformer) -> bool:
    """Whether the model's last module makes rows of unit length."""
    return type(model[-1]).__name__ == "Normalize" and model.truncate_dim is None


def inputs_of(model: SentenceTransformer) -> tuple[str, ...]:
    """The graph's inputs; one mask more if pooling leaves out the tokens of a prompt."""
    return (*INPUTS, POOLING_MASK) if leaves_out_prompt(model) else INPUTS


def leaves_out_prompt(model: SentenceTransformer) -> bool:
    """Whether pooling leaves out the tokens of a prompt, and the model has prompts."""
    apart = any(getattr(module, "include_prompt", True) is False for module in model)
    return apart and any(model.prompts.values())


def _kind(model: SentenceTransformer) -> str:
    config = getattr(model[0], "auto_model", None)
    return config.config.model_type if config is not None else type(model[0]).__name__


def _example(model: SentenceTransformer) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of two rows of unequal length: no dimension is 1, and one row has padding."""
    import torch

    mask = torch.ones(2, 9, dtype=torch.int64)
    left = getattr(model.tokenizer, "padding_side", "right") == "left"
    mask[0, slice(0, 4) if left else slice(5, None)] = 0
    return torch.arange(18).reshape(2, 9) % 11 + 1, mask


def _trace(model: SentenceTransformer, path: Path, *, opset: int, after_body: bool = False) -> Path:
    import torch

    ids, mask = _example(model)
    example = dict.fromkeys(inputs_of(model), mask) | {"input_ids": ids}
    if after_body:
        del example["input_ids"]
        width = model[0].get_embedding_dimension()
        example = {TOKEN_EMBEDDINGS: torch.randn(*ids.shape, width)} | example
    names = list(example)
    with _quiet_tracing(), torch.inference_mode():
        torch.onnx.export(
            _after_transformer(model) if after_body else _whole(model),
            tuple(example.values()),
            str(path),
            input_names=names,
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names} | {OUTPUT: {0: "batch"}},
            opset_version=opset,
            do_constant_folding=True,
            dynamo=False,
        )
    return path


def _whole(model: SentenceTransformer) -> torch.nn.Module:
    """The model as a function of ids and mask; it calls sentence-transformers' own modules."""
    import torch

    typed = "token_type_ids" in getattr(model.tokenizer, "model_input_names", ())

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
            if type(model[0]).__name__ == "StaticEmbedding":
                features[OUTPUT] = _mean_of_rows(model[0].embedding.weight, input_ids, attention_mask)
            else:
                features = self.chain[0](features)
            return _finish(model, features, self.chain[1:], pooling_mask)

    return Whole().eval()


def _after_transformer(model: SentenceTransformer) -> torch.nn.Module:
    """The modules after the transformer as a function of its output and the mask."""
    import torch

    class PostProcessing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chain = torch.nn.ModuleList(list(model)[1:])

        def forward(
            self,
            token_embeddings: torch.Tensor,
            attention_mask: torch.Tensor,
            pooling_mask: torch.Tensor | None = None,
        ) -> torch.Tensor:
            features = {TOKEN_EMBEDDINGS: token_embeddings, "attention_mask": attention_mask}
            return _finish(model, features, self.chain, pooling_mask)

    return PostProcessing().eval()


def _finish(
    model: SentenceTransformer, features: dict[str, Any], modules: Any, pooling_mask: torch.Tensor | None
) -> torch.Tensor:
    """Run the modules after the first; a bundle's rows have unit length, even if the model's have not."""
    import torch

    for module in modules:
        if pooling_mask is not None and getattr(module, "include_prompt", True) is False:
            features["attention_mask"] = pooling_mask
        features = module(features)
    rows = features[OUTPUT]
    if model.truncate_dim is not None:
        rows = rows[:, : model.truncate_dim]
    return rows if is_normalized(model) else torch.nn.functional.normalize(rows)


def _mean_of_rows(table: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The result of EmbeddingBag, from matrices of ids and mask."""
    inside = mask.unsqueeze(-1).to(table.dtype)
    return (table[ids] * inside).sum(1) / inside.sum(1)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Hide what torch's exporter prints and warns of: its own steps, and that they succeeded."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _quiet_tracing() -> Iterator[None]:
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        for category, message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield
