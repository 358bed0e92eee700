"""What a call of the encoder asks for, checked against what the model can do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine._validation import check_options
from lightmine.encoder.embedding_quantization import check_precision
from lightmine.encoder.runtime import POOLING_MASK, Runtime
from lightmine.encoder.tokenizer import Tokenizer
from lightmine.errors import ArgumentError, BundleError
from lightmine.loading.bundle import Manifest


@dataclasses.dataclass(frozen=True)
class Options:
    """As given to `Encoder.encode`, which describes them."""

    prompt: str | None = None
    prompt_name: str | None = None
    truncate_dim: int | None = None
    normalize: bool = True
    max_tokens: int | None = None
    precision: str = "float32"
    ranges: NDArray[np.float32] | None = None
    fast: bool = False
    batch_tokens: int | None = None
    threads: int | None = None
    no_tokens: str = "error"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """Options by name; one that does not exist is refused with the name of the nearest.

        Raises
        ------
        OptionError
        """
        check_options(options, (field.name for field in dataclasses.fields(cls)), of="Encoder.encode")
        return cls(**options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """The same, settled: what is done to every sentence.

    ``skip`` is the number of prompt tokens that pooling leaves out; ``alone`` tells that each sentence
    is a run of its own.
    """

    tokenizer: Tokenizer
    prompt: str
    skip: int
    dimension: int
    normalize: bool
    precision: str
    ranges: NDArray[np.float32] | None
    alone: bool
    batch_tokens: int
    workers: int
    no_tokens: str


def settle(
    options: Options, manifest: Manifest, runtime: Runtime, tokenizer: Tokenizer, *, pooled: bool
) -> EncodeOptions:
    """Check every option and fill in what was left to the model and the machine.

    `pooled` tells that the graph itself does the pooling.

    Raises
    ------
    ArgumentError
        An option out of range, or one that the model does not have.
    BundleError
        The prompt is to be left out of pooling, and the graph that pools has no way to do so.
    """
    batch_tokens = runtime.batch_tokens if options.batch_tokens is None else options.batch_tokens
    workers = runtime.threads if options.threads is None else options.threads
    if not (_at_least_one(batch_tokens) and _at_least_one(workers)):
        raise ArgumentError(
            "batch_tokens and threads must be whole numbers of at least 1, "
            f"not {batch_tokens!r} and {workers!r}"
        )
    dimension = _at_most("truncate_dim", options.truncate_dim, manifest.dimension, "dimensions")
    longest = _at_most("max_tokens", options.max_tokens, manifest.max_tokens, "tokens")
    if options.no_tokens not in ("error", "zeros"):
        raise ArgumentError(f"no_tokens must be error or zeros, not {options.no_tokens!r}")
    check_precision(options.precision, options.ranges, dimension)
    if not options.normalize and manifest.normalize and dimension == manifest.dimension:
        raise ArgumentError("normalize=False: the model's own graph makes unit rows; leave it out")
    tokenizer = tokenizer.cutting_at(longest)
    prompt = _prompt(options, manifest)
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(prompt[error.start]):04X}"
        raise ArgumentError(f"prompt: {prompt!r} has half a character, {half}; write it in UTF-8") from None
    skip = 0 if manifest.include_prompt else tokenizer.prompt_length(prompt)
    if skip and pooled and POOLING_MASK not in manifest.inputs:
        raise BundleError(
            f"{manifest.name}: pooling leaves the prompt out, but its graph has no input {POOLING_MASK} for "
            "that; export the model again, or give prompt=''"
        )
    return EncodeOptions(
        tokenizer=tokenizer, prompt=prompt, skip=skip, dimension=dimension, normalize=options.normalize,
        precision=options.precision, ranges=options.ranges,
        alone=manifest.batch == "independent" and not options.fast, batch_tokens=batch_tokens,
        workers=workers, no_tokens=options.no_tokens,
    )  # fmt: skip


def _at_least_one(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _at_most(name: str, value: int | None, most: int, what: str) -> int:
    if value is None:
        return most
    if not _at_least_one(value) or value > most:
        raise ArgumentError(
            f"{name} must be a whole number from 1 to the model's {most} {what}, not {value!r}"
        )
    return value


def _prompt(options: Options, manifest: Manifest) -> str:
    if options.prompt is not None and options.prompt_name is not None:
        raise ArgumentError("prompt and prompt_name are two ways to say one thing; give one of them")
    if options.prompt is not None:
        return options.prompt
    name = manifest.default_prompt if options.prompt_name is None else options.prompt_name
    if not name:
        return ""
    if name not in manifest.prompts:
        known = ", ".join(map(repr, manifest.prompts)) or "none"
        raise ArgumentError(f"prompt_name: {manifest.name} has no prompt {name!r}; it has {known}")
    return manifest.prompts[name]
