"""Read the modules after the transformer from their folders; each is honoured exactly or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightmine.errors import ArgumentError, BundleError
from lightmine.loading.layout import CONFIG, WEIGHTS, ModuleEntry, read_settings
from lightmine.loading.modules import (
    ACTIVATIONS,
    POOLING_MODES,
    SENTENCE,
    TOKENS,
    Dense,
    LayerNorm,
    Module,
    Normalize,
    Pooling,
)
from lightmine.untrusted.safetensors import read_weights

# The boolean settings of older versions, in the order of POOLING_MODES.
POOLING_BOOLEANS = (
    "pooling_mode_cls_token", "pooling_mode_max_tokens", "pooling_mode_mean_tokens",
    "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken",
)  # fmt: skip


def read_modules(folder: Path, module_list: list[ModuleEntry]) -> tuple[Module, ...]:
    """The modules in their order, without Dropout, which has an effect in training alone."""
    modules: list[Module] = []
    for entry in module_list:
        if entry.kind == "Dropout":
            continue
        if entry.kind not in READERS:
            known = ", ".join(("Transformer", *READERS, "Dropout"))
            raise BundleError(f"{folder}: module {entry.type} cannot be honoured exactly; known are {known}")
        modules.append(READERS[entry.kind](folder / entry.path))
    pooled = [place for place, module in enumerate(modules) if isinstance(module, Pooling)]
    if len(pooled) != 1:
        raise BundleError(f"{folder}: {len(pooled)} Pooling modules where exactly one is needed")
    for module in modules[: pooled[0]]:
        if getattr(module, "feature", SENTENCE) != TOKENS or getattr(module, "to", SENTENCE) != TOKENS:
            raise BundleError(f"{folder}: a {type(module).__name__} of sentences stands before their Pooling")
    for module in modules[pooled[0] :]:
        if SENTENCE not in (getattr(module, "feature", SENTENCE), getattr(module, "to", SENTENCE)):
            raise BundleError(f"{folder}: a {type(module).__name__} of tokens stands after their Pooling")
    return tuple(modules)


def read_pooling(text: str) -> Pooling:
    """Pooling from its modes, joined with ``+``.

    Examples
    --------
    >>> read_pooling("cls+mean").modes
    ('cls', 'mean')
    """
    modes = tuple(text.split("+"))
    if not set(modes) <= set(POOLING_MODES):
        known = ", ".join(POOLING_MODES)
        raise ArgumentError(f"pooling must be some of {known}, joined with +, not {text!r}")
    return Pooling(modes)


def _pooling(folder: Path) -> Pooling:
    settings = read_settings(folder, CONFIG, needed=True)
    modes = settings.get("pooling_mode")
    if modes is None:
        named = zip(POOLING_MODES, POOLING_BOOLEANS, strict=True)
        modes = [mode for mode, name in named if settings.get(name)]
        unknown = {name for name in settings if name.startswith("pooling_mode_")} - {*POOLING_BOOLEANS}
        if odd := sorted(name for name in unknown if settings[name]):
            raise BundleError(f"{folder}: pooling {', '.join(odd)} is not known")
        modes = modes or ["mean"]
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if odd := [mode for mode in modes if mode not in POOLING_MODES]:
        known = ", ".join(POOLING_MODES)
        raise BundleError(f"{folder}: pooling mode {odd[0]!r} is not known; known are {known}")
    return Pooling(modes, bool(settings.get("include_prompt", True)))


def _dense(folder: Path) -> Dense:
    settings = read_settings(folder, CONFIG, needed=True)
    name = settings.get("activation_function") or "torch.nn.modules.activation.Tanh"
    # sentence-transformers replaces an activation that it does not trust by Tanh; it is refused here.
    activation = name.split(".")[-1]
    if not name.startswith("torch.nn.") or activation not in ACTIVATIONS:
        raise BundleError(f"{folder}: activation {name} is not known; known are {', '.join(ACTIVATIONS)}")
    feature = settings.get("module_input_name") or SENTENCE
    to = settings.get("module_output_name") or feature
    if not {feature, to} <= {SENTENCE, TOKENS} or (feature, to) == (SENTENCE, TOKENS):
        raise BundleError(f"{folder}: a Dense from {feature} to {to} is not known")
    weights = _weights(folder)
    residual = bool(settings.get("use_residual"))
    bias = weights.pop("linear.bias", None)
    matrix = _take(folder, weights, "linear.weight")
    square = matrix.shape[0] == matrix.shape[1]
    extra = _take(folder, weights, "residual.weight") if residual and not square else None
    if matrix.ndim != 2 or (bias is None) == bool(settings.get("bias", True)) or weights:
        raise BundleError(f"{folder / WEIGHTS}: not the weights that {folder.name}/config.json describes")
    return Dense(matrix, bias, activation, extra, residual, feature, to)


def _layer_norm(folder: Path) -> LayerNorm:
    weights = _weights(folder)
    return LayerNorm(_take(folder, weights, "norm.weight"), _take(folder, weights, "norm.bias"))


def _normalize(folder: Path) -> Normalize:
    settings = read_settings(folder, CONFIG)
    feature = settings.get("module_input_name") or SENTENCE
    to = settings.get("module_output_name") or feature
    if feature != to or feature not in (SENTENCE, TOKENS):
        raise BundleError(f"{folder}: a Normalize from {feature} to {to} is not known")
    return Normalize(feature, to)


READERS: dict[str, Callable[[Path], Module]] = {
    "Pooling": _pooling,
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
}


def _weights(folder: Path) -> dict[str, Any]:
    if not (folder / WEIGHTS).is_file() and (folder / "pytorch_model.bin").is_file():
        raise BundleError(
            f"{folder}: its weights are a pickle (pytorch_model.bin), which is never opened here; load the "
            f"model with sentence-transformers and save it again, which writes {WEIGHTS}"
        )
    return dict(read_weights(folder / WEIGHTS))


def _take(folder: Path, weights: dict[str, Any], name: str) -> Any:
    if name not in weights:
        raise BundleError(f"{folder / WEIGHTS}: has no {name}")
    return weights.pop(name)
