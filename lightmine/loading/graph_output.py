"""Which output of an ONNX graph to read, and which of the model's modules run after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightmine.errors import BundleError
from lightmine.loading.layout import MODULES
from lightmine.loading.modules import SENTENCE, TOKENS, Module, Pooling, PostProcessing, Truncate
from lightmine.untrusted.onnx_header import FLOAT, FLOAT16, INT32, INT64, Graph, Value

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKEN_OUTPUTS = (TOKENS, "last_hidden_state")
# Names of the transformer's width in config.json, by family of models.
WIDTH_SETTINGS = ("hidden_size", "dim", "d_model", "n_embd")


def check_inputs(path: Path, graph: Graph) -> None:
    """Refuse a graph with inputs that are not known, or without those that batches need.

    Raises
    ------
    BundleError
    """
    for value in graph.inputs:
        if value.name not in INPUTS:
            raise BundleError(
                f"{path}: needs the input {value.name}, which is none of {', '.join(INPUTS)}; export it as "
                "feature extraction without a cache"
            )
        if value.element not in (INT32, INT64):
            raise BundleError(f"{path}: its input {value.name} takes no whole numbers")
    for name in INPUTS[:2]:
        if name not in [value.name for value in graph.inputs]:
            raise BundleError(f"{path}: has no input {name}, without which sentences cannot be batched")


def choose_output(
    path: Path, graph: Graph, config: dict[str, Any], modules: tuple[Module, ...]
) -> PostProcessing:
    """The output to read and the modules to run after it.

    Token vectors are preferred if the model states its pooling: an exporter may have pooled in another way.

    Raises
    ------
    BundleError
        No output is known, or it does not fit the modules.
    """
    outputs = {value.name: value for value in graph.outputs}
    tokens = next((outputs[name] for name in TOKEN_OUTPUTS if name in outputs), None)
    if tokens and any(isinstance(module, Pooling) for module in modules):
        _check_output(path, tokens, rank=3)
        width = _width(tokens) or _hidden_size(path, config)
        return PostProcessing(tokens.name, TOKENS, modules, _dimension(modules, {TOKENS: width}))
    if SENTENCE in outputs:
        return _pooled_output(path, outputs[SENTENCE], config, modules)
    if tokens:
        raise BundleError(
            f"{path}: gives one vector a token and no file says how to pool them; add the model's "
            f"{MODULES} and 1_Pooling, or load it in Python with pooling='mean' or whatever is right"
        )
    found = ", ".join(outputs) or "none"
    raise BundleError(
        f"{path}: its outputs are {found}; one of {', '.join((*TOKEN_OUTPUTS, SENTENCE))} is needed"
    )


def _pooled_output(
    path: Path, output: Value, config: dict[str, Any], modules: tuple[Module, ...]
) -> PostProcessing:
    """The output of a graph that includes all modules but the truncation, and gives a vector a sentence."""
    _check_output(path, output, rank=2)
    inside = tuple(module for module in modules if not isinstance(module, Truncate))
    after = modules[len(inside) :]
    stated = expected = _width(output)
    if inside:
        expected = _dimension(inside, {TOKENS: _hidden_size(path, config)})
    if stated and stated != expected:
        raise BundleError(
            f"{path}: {output.name} has {stated} dimensions, and the model's modules give {expected}"
        )
    return PostProcessing(output.name, SENTENCE, after, _dimension(after, {SENTENCE: expected or 0}))


def _dimension(modules: tuple[Module, ...], widths: dict[str, int]) -> int:
    """The dimension of sentence vectors after some modules."""
    for module in modules:
        widths = module.width(widths)
    return widths[SENTENCE]


def _check_output(path: Path, value: Value, *, rank: int) -> None:
    if value.shape is not None and len(value.shape) != rank:
        raise BundleError(f"{path}: its output {value.name} has {len(value.shape)} axes, not {rank}")
    if value.element not in (FLOAT, FLOAT16):
        raise BundleError(f"{path}: its output {value.name} is neither float32 nor float16")


def _width(value: Value) -> int | None:
    return value.shape[-1] if value.shape else None


def _hidden_size(path: Path, config: dict[str, Any]) -> int:
    for name in WIDTH_SETTINGS:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise BundleError(f"{path}: neither it nor config.json says how many dimensions its vectors have")
