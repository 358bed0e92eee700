"""Open a model: its files, its graph in a provider, and its tokenizer."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightmine._validation import check_count
from lightmine.encoder.providers import Provider
from lightmine.encoder.runtime import Runtime
from lightmine.encoder.tokenizer import Tokenizer
from lightmine.loading.bundle import Verify
from lightmine.loading.resolve import is_hub_name, resolve_model
from lightmine.loading.resolved_model import ResolvedModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """The options as given to `Encoder.load`, which describes them."""

    revision: str | None
    file: str | None
    pooling: str | None
    provider: Provider
    threads: int | None
    provider_options: Mapping[str, str] | None
    verify: Verify


def open_model(model: str | Path | None, options: LoadOptions) -> tuple[ResolvedModel, Tokenizer, Runtime]:
    """A model's files, its tokenizer, and its graph in a provider.

    Raises
    ------
    BundleError, MissingExtraError, ArgumentError
        As `Encoder.load`.
    """
    check_count("threads", options.threads)
    resolved = resolve_model(
        model, revision=options.revision, file=options.file, pooling=options.pooling, verify=options.verify,
        background=True,
    )  # fmt: skip
    try:
        runtime = Runtime(
            resolved.graph, resolved.manifest, provider=options.provider, threads=options.threads,
            options=options.provider_options,
        )  # fmt: skip
        tokenizer = Tokenizer(
            resolved.tokenizer, vocabulary=resolved.vocabulary,
            max_tokens=resolved.manifest.max_tokens, lower_case=resolved.lower_case,
            # Packaged models are trusted; their tokenizer is not checked.
            trusted=resolved.hashing is not None,
        )  # fmt: skip
    finally:
        # If a file is altered, that is the error to report, and not one that follows from it.
        resolved.wait_verified()
    return resolved.with_dimension(runtime.run), tokenizer, runtime


def reopening(model: str | Path | None, options: LoadOptions, resolved: ResolvedModel) -> dict[str, Any]:
    """Arguments of `Encoder.load` that open the same model again, from any working directory."""
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    if given["provider_options"] is not None:
        given["provider_options"] = dict(given["provider_options"])
    if model is not None and Path(model).exists():
        return given | {"model": os.path.abspath(model), "revision": None}
    if not (isinstance(model, str) and is_hub_name(model)):
        return given | {"model": None if model is None else str(model), "revision": None}
    # A branch of a hub model can change; the commit that was opened cannot.
    revision = resolved.manifest.extra.get("hub_revision") or resolved.manifest.revision
    return given | {"model": model.partition("@")[0], "revision": revision}
