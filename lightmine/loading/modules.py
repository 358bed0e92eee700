"""The modules that make sentence vectors of a graph's token vectors, in NumPy.

Each module takes and returns a table of features, as in sentence-transformers: ``token_embeddings`` of
shape (sentences, tokens, width) and ``sentence_embedding`` of shape (sentences, dimension).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import BundleError, TextError
from lightmine.summation import sum_rows

Array = NDArray[np.float32]
Ids = NDArray[np.int64]
Features = dict[str, Array]
TOKENS, SENTENCE = "token_embeddings", "sentence_embedding"

# In the order in which the boolean settings of older sentence-transformers concatenate them.
POOLING_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


class Module(Protocol):
    """One step from token vectors to sentence vectors."""

    def __call__(self, features: Features, mask: Ids, skip: int) -> Features:
        """Features after the step, where the first `skip` tokens are a prompt that pooling leaves out."""

    def width(self, widths: dict[str, int]) -> dict[str, int]:
        """Widths of the features after the step."""


@dataclasses.dataclass(frozen=True)
class PostProcessing:
    """All modules that run after the graph, and the dimension that they give (0 if no file states it).

    Examples
    --------
    >>> post_processing = PostProcessing("last_hidden_state", TOKENS, (Pooling(("mean",)),), 2)
    >>> tokens = np.array([[[2, 4], [4, 8], [9, 9]]], np.float32)
    >>> post_processing(tokens, np.array([[1, 1, 0]]))
    array([[3., 6.]], dtype=float32)
    """

    output: str
    feature: str
    modules: tuple[Module, ...]
    dimension: int

    def __call__(self, values: NDArray[Any], mask: Ids, skip: int = 0) -> Array:
        """Sentence vectors, float32 of shape (sentences, dimension), from the graph's output."""
        lead = mask.shape if self.feature == TOKENS else mask.shape[:1]
        if values.shape[:-1] != lead:
            raise BundleError(
                f"the graph's {self.output} gave vectors of shape {values.shape} for {len(mask)} sentences "
                f"of {mask.shape[1]} tokens; export the model again"
            )
        features = {self.feature: np.asarray(values, np.float32)}
        for module in self.modules:
            features = module(features, mask, skip)
        vectors = features[SENTENCE]
        if vectors.shape[1] != (self.dimension or vectors.shape[1]):
            raise BundleError(
                f"the graph's {self.output} gave vectors of shape {vectors.shape} for {len(mask)} sentences "
                f"of {self.dimension} dimensions; export the model again"
            )
        return vectors


@dataclasses.dataclass(frozen=True)
class Pooling:
    """Token vectors to one vector per sentence, by one mode or several whose vectors are concatenated.

    The formulas are those of sentence-transformers' Pooling. ``cls`` is the first token of the mask and
    ``lasttoken`` its last, whichever side the padding is on; ``weightedmean`` weights the i-th token
    of the mask by i.
    """

    modes: tuple[str, ...]
    include_prompt: bool = True

    def __call__(self, features: Features, mask: Ids, skip: int = 0) -> Features:
        """See `Module`."""
        inside = mask.astype(bool)
        place = np.cumsum(inside, axis=1)  # of each token in its sentence, from 1
        if not self.include_prompt:
            inside &= place > skip
            if not inside.any(axis=1).all():
                raise TextError("the prompt fills the longest input: nothing of a sentence is left to pool")
        tokens = features[TOKENS]
        pooled = [_pool(mode, tokens, inside, place) for mode in self.modes]
        return features | {SENTENCE: np.concatenate(pooled, axis=1)}

    def width(self, widths: dict[str, int]) -> dict[str, int]:
        """See `Module`."""
        return widths | {SENTENCE: widths[TOKENS] * len(self.modes)}


def _pool(mode: str, tokens: Array, inside: NDArray[np.bool_], place: NDArray[np.int64]) -> Array:
    rows = np.arange(len(tokens))
    if mode == "cls":
        first: Array = tokens[rows, inside.argmax(axis=1)]
        return first
    if mode == "lasttoken":
        last: Array = tokens[rows, inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)]
        return last
    if mode == "max":
        most: Array = np.where(inside[:, :, None], tokens, -np.inf).max(axis=1)
        return most.astype(np.float32)
    weights = np.where(inside, place if mode == "weightedmean" else 1, 0).astype(np.float32)
    total = np.maximum(weights.sum(axis=1, dtype=np.float32), 1e-9)[:, None]
    mean: Array = np.einsum("nt,ntd->nd", weights, tokens)
    mean /= np.sqrt(total) if mode == "mean_sqrt_len_tokens" else total
    return mean


@dataclasses.dataclass(frozen=True)
class Dense:
    """A linear layer and its activation, with a residual connection if there is one."""

    weight: Array
    bias: Array | None
    activation: str = "Identity"
    residual: Array | None = None
    use_residual: bool = False
    feature: str = SENTENCE
    to: str = SENTENCE

    def __call__(self, features: Features, mask: Ids, skip: int = 0) -> Features:
        """See `Module`."""
        given = features[self.feature]
        out = given @ self.weight.T
        if self.bias is not None:
            out += self.bias
        out = ACTIVATIONS[self.activation](out)
        if self.use_residual:
            out = out + (given if self.residual is None else given @ self.residual.T)
        return features | {self.to: out}

    def width(self, widths: dict[str, int]) -> dict[str, int]:
        """See `Module`."""
        return widths | {self.to: len(self.weight)}


@dataclasses.dataclass(frozen=True)
class LayerNorm:
    """Each sentence's vector shifted and scaled to mean 0 and variance 1, then by learned weights."""

    weight: Array
    bias: Array

    def __call__(self, features: Features, mask: Ids, skip: int = 0) -> Features:
        """See `Module`."""
        x = features[SENTENCE]
        x = x - x.mean(axis=1, keepdims=True)
        unit = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + np.float32(1e-5))
        return features | {SENTENCE: unit * self.weight + self.bias}

    def width(self, widths: dict[str, int]) -> dict[str, int]:
        """See `Module`."""
        return widths


@dataclasses.dataclass(frozen=True)
class Normalize:
    """Rows of unit length."""

    feature: str = SENTENCE
    to: str = SENTENCE

    def __call__(self, features: Features, mask: Ids, skip: int = 0) -> Features:
        """See `Module`."""
        x = features[self.feature]
        squares = np.square(x.reshape(-1, x.shape[-1]), dtype=np.float64)
        norms = np.sqrt(sum_rows(squares)).astype(np.float32).reshape(*x.shape[:-1], 1)
        unit: Array = np.divide(x, np.maximum(norms, np.float32(1e-12)), dtype=np.float32)
        return features | {self.to: unit}

    def width(self, widths: dict[str, int]) -> dict[str, int]:
        """See `Module`."""
        return widths | {self.to: widths[self.feature]}


@dataclasses.dataclass(frozen=True)
class Truncate:
    """The first dimensions alone, for models that are trained for it (Matryoshka)."""

    dimension: int

    def __call__(self, features: Features, mask: Ids, skip: int = 0) -> Features:
        """See `Module`."""
        return features | {SENTENCE: features[SENTENCE][:, : self.dimension]}

    def width(self, widths: dict[str, int]) -> dict[str, int]:
        """See `Module`."""
        return widths | {SENTENCE: min(self.dimension, widths[SENTENCE])}


def _sigmoid(x: Array) -> Array:
    # Written with tanh, which cannot overflow.
    return np.asarray((np.tanh(x / 2) + 1) / 2, np.float32)


def _gelu(x: Array) -> Array:
    erf: Array = np.frompyfunc(math.erf, 1, 1)(x / np.float32(math.sqrt(2))).astype(np.float32)
    return np.asarray(x * (1 + erf) / 2, np.float32)


# By the names of torch's classes without their module.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "Sigmoid": _sigmoid,
    "SiLU": lambda x: x * _sigmoid(x),
    "GELU": _gelu,
}
