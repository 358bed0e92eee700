"""The options of a call of the encoder, checked against what the model can do."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_choice, check_count
from lightmine.encoder.embedding_quantization import Precision, check_precision
from lightmine.encoder.runtime import POOLING_MASK, Runtime
from lightmine.encoder.tokenizer import Tokenizer
from lightmine.errors import ArgumentError, BundleError
from lightmine.loading.bundle import Manifest

NoTokens = Literal["error", "zeros"]
NO_TOKENS: tuple[NoTokens, ...] = get_args(NoTokens)


@dataclasses.dataclass(frozen=True)
class RequestedOptions:
    """The options as given to `Encoder.encode`, which describes them."""

    prompt: str | None
    prompt_name: str | None
    truncate_dim: int | None
    normalize: bool
    max_tokens: int | None
    precision: Precision
    ranges: NDArray[np.float32] | None
    fast: bool
    batch_tokens: int | None
    threads: int | None
    no_tokens: NoTokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """The options as they apply to every sentence: checked, with the defaults of the model and the machine.

    ``skip`` is the number of prompt tokens that pooling leaves out. ``alone`` tells that each sentence is
    run alone and not in a batch.
    """

    tokenizer: Tokenizer
    prompt: str
    skip: int
    dimension: int
    max_tokens: int
    normalize: bool
    precision: Precision
    ranges: NDArray[np.float32] | None
    alone: bool
    batch_tokens: int
    workers: int
    no_tokens: NoTokens


def complete_options(
    requested: RequestedOptions, manifest: Manifest, runtime: Runtime, tokenizer: Tokenizer, *, pooled: bool
) -> EncodeOptions:
    """Check every option, and fill in the defaults of the model and the machine.

    `pooled` tells that pooling is part of the graph.

    Raises
    ------
    ArgumentError
        An option is out of range, or the model does not have it.
    BundleError
        Pooling must leave the prompt out, and the graph that pools has no input for that.
    """
    batch_tokens = check_count("batch_tokens", requested.batch_tokens) or runtime.batch_tokens
    workers = check_count("threads", requested.threads) or runtime.threads
    dimension = _at_most("truncate_dim", requested.truncate_dim, manifest.dimension, "dimensions")
    max_tokens = _at_most("max_tokens", requested.max_tokens, manifest.max_tokens, "tokens")
    check_choice("no_tokens", requested.no_tokens, NO_TOKENS)
    check_precision(requested.precision, requested.ranges, dimension)
    if not requested.normalize and manifest.normalize and dimension == manifest.dimension:
        raise ArgumentError("normalize=False: the model's own graph makes unit rows; leave it out")
    tokenizer = tokenizer.with_max_tokens(max_tokens)
    prompt = _prompt(requested, manifest)
    return EncodeOptions(
        tokenizer=tokenizer, prompt=prompt, skip=_skipped_tokens(prompt, manifest, tokenizer, pooled),
        dimension=dimension, max_tokens=max_tokens, normalize=requested.normalize,
        precision=requested.precision, ranges=requested.ranges,
        alone=manifest.batch == "independent" and not requested.fast,
        batch_tokens=batch_tokens, workers=workers, no_tokens=requested.no_tokens,
    )  # fmt: skip


def _at_most(name: str, value: int | None, limit: int, unit: str) -> int:
    if value is None:
        return limit
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not 1 <= value <= limit:
        raise ArgumentError(
            f"{name} must be a whole number from 1 to the model's {limit} {unit}, not {value!r}"
        )
    return int(value)


def _prompt(requested: RequestedOptions, manifest: Manifest) -> str:
    """The text before every sentence: the given one, the named one, or the model's default."""
    prompt, name = requested.prompt, requested.prompt_name
    if prompt is not None and name is not None:
        raise ArgumentError("prompt and prompt_name are two ways to say one thing; give one of them")
    if prompt is None:
        name = manifest.default_prompt if name is None else name
        if name and name not in manifest.prompts:
            known = ", ".join(map(repr, manifest.prompts)) or "none"
            raise ArgumentError(f"prompt_name: {manifest.name} has no prompt {name!r}; it has {known}")
        prompt = manifest.prompts[name] if name else ""
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(prompt[error.start]):04X}"
        raise ArgumentError(f"prompt: {prompt!r} has half a character, {half}; write it in UTF-8") from None
    return prompt


def _skipped_tokens(prompt: str, manifest: Manifest, tokenizer: Tokenizer, pooled: bool) -> int:
    """How many tokens of the prompt pooling leaves out."""
    skip = 0 if manifest.include_prompt else tokenizer.prompt_length(prompt)
    if skip and pooled and POOLING_MASK not in manifest.inputs:
        raise BundleError(
            f"{manifest.name}: pooling leaves the prompt out, but its graph has no input {POOLING_MASK} for "
            "that; export the model again, or give prompt=''"
        )
    return skip
