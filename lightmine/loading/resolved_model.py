"""A model that has been found: its files, its manifest, and the modules that run after its graph."""

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

# The fields of a manifest that vectors depend on. A name, a licence or a measurement changes no vector.
VECTOR_FIELDS = (
    "max_tokens", "pad_token_id", "padding_side", "pooling", "normalize", "include_prompt", "inputs",
    "output", "batch",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResolvedModel:
    """A model's files, its manifest, and the modules that run after its graph.

    ``vocabulary`` is the file of the tokenizer's tokens, for models that keep them apart (see `Tokenizer`).
    ``verified`` tells that every file has the SHA-256 of the manifest. If ``hashing`` is set, the files are
    hashed in the background, and ``verified`` holds only after `wait_verified` has returned. Only packaged
    models are hashed in the background.
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
        """Wait until files that are hashed in the background are verified.

        Raises
        ------
        BundleError
            A file has another hash than the manifest says.
        """
        if self.hashing:
            self.hashing.result()

    @property
    def size(self) -> int:
        """Bytes of the graph, its external weights and the tokenizer."""
        return sum(path.stat().st_size for path in self._files())

    def _files(self) -> list[Path]:
        vocabulary = [self.vocabulary] if self.vocabulary else []
        return [self.graph, self.tokenizer, *vocabulary, *self.weights]

    @property
    def weights(self) -> list[Path]:
        """The files of weights that are not in the graph's own file."""
        return [self.graph.parent / name for name in sorted(read_graph(self.graph).weight_files)]

    def fingerprint(self) -> str:
        """A SHA-256 over everything that vectors depend on: files, settings, and modules after the graph.

        Copies of a model have the same fingerprint, whatever their folder and their name.
        """
        known = self.manifest.files if self.verified else {}
        files = [known.get(path.name) or sha256(path) for path in self._files()]
        settings = {name: getattr(self.manifest, name) for name in VECTOR_FIELDS}
        digest = hashlib.sha256(json.dumps([files, settings, self.lower_case], sort_keys=True).encode())
        after = self.post_processing
        for part in (after.output, after.feature, *after.modules):
            if not dataclasses.is_dataclass(part):
                digest.update(repr(part).encode())
                continue
            digest.update(type(part).__name__.encode())
            for field in dataclasses.fields(part):
                value = getattr(part, field.name)
                digest.update(field.name.encode())
                digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        return digest.hexdigest()

    def with_dimension(self, run: Callable[[Ids, Ids], NDArray[Any]]) -> ResolvedModel:
        """The same model with its dimension; if no file states it, `run` is called for one token."""
        if self.manifest.dimension:
            return self
        token = np.ones((1, 1), np.int64)
        dimension = self.post_processing(run(token, token), token).shape[1]
        return dataclasses.replace(
            self,
            manifest=dataclasses.replace(self.manifest, dimension=dimension),
            post_processing=dataclasses.replace(self.post_processing, dimension=dimension),
        )
