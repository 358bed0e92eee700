"""A model that has been found: its files, what is said about it, and what is done after its graph."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.loading.bundle import Manifest, sha256
from lightmine.loading.modules import Ids, PostProcessing
from lightmine.untrusted.onnx_header import read_graph

# Of a manifest, what vectors depend on. A name, a licence or a measurement changes no vector.
VECTOR_FIELDS = (
    "max_tokens", "pad_token_id", "padding_side", "pooling", "normalize", "include_prompt", "inputs",
    "output", "batch",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResolvedModel:
    """A model's files, what is said about it, and what is done after its graph.

    ``vocabulary`` holds the tokenizer's pieces where they lie beside it (`Tokenizer`). ``verified`` tells
    whether every file has the SHA-256 that its manifest says; with a `hashing`, only once `wait_verified` has
    returned. Only what comes with lightmine is hashed so.
    """

    folder: Path
    manifest: Manifest
    graph: Path
    tokenizer: Path
    post_processing: PostProcessing
    vocabulary: Path | None = None
    lower_case: bool = False
    verified: bool = False
    hashing: Future[None] | None = None

    def wait_verified(self) -> None:
        """Wait for files that are hashed meanwhile.

        Raises
        ------
        BundleError
            One is not what the manifest says.
        """
        if self.hashing:
            self.hashing.result()

    @property
    def size(self) -> int:
        """Bytes of the graph, of the weights beside it, and of the tokenizer."""
        return sum(path.stat().st_size for path in self._files())

    def _files(self) -> list[Path]:
        vocabulary = [self.vocabulary] if self.vocabulary else []
        return [self.graph, self.tokenizer, *vocabulary, *self.weights]

    @property
    def weights(self) -> list[Path]:
        """The files that the graph keeps its weights in, where not in itself."""
        return [self.graph.parent / name for name in sorted(read_graph(self.graph).weight_files)]

    def fingerprint(self) -> str:
        """A SHA-256 over whatever vectors depend on: files, settings, and what is done after the graph.

        It is the same for copies of a model, wherever they lie and whatever they are called.
        """
        known = self.manifest.files if self.verified else {}
        files = [known.get(path.name) or sha256(path) for path in self._files()]
        settings = {name: getattr(self.manifest, name) for name in VECTOR_FIELDS}
        made = hashlib.sha256(json.dumps([files, settings, self.lower_case], sort_keys=True).encode())
        for part in (
            self.post_processing.output,
            self.post_processing.feature,
            *self.post_processing.modules,
        ):
            if not dataclasses.is_dataclass(part):
                made.update(repr(part).encode())
                continue
            made.update(type(part).__name__.encode())
            for field in dataclasses.fields(part):
                value = getattr(part, field.name)
                made.update(field.name.encode())
                made.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        return made.hexdigest()

    def measured(self, run: Callable[[Ids, Ids], NDArray[Any]]) -> ResolvedModel:
        """The source with its dimension, for which the graph is run on one token where no file says it."""
        if self.manifest.dimension:
            return self
        token = np.ones((1, 1), np.int64)
        dimension = self.post_processing(run(token, token), token).shape[1]
        return dataclasses.replace(
            self,
            manifest=dataclasses.replace(self.manifest, dimension=dimension),
            post_processing=dataclasses.replace(self.post_processing, dimension=dimension),
        )
