"""A model that has been found: its files, what is said about it, and what is done after its graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.encoding.batching import Ids
from lightmine.encoding.bundle import Manifest
from lightmine.encoding.graph import read_graph
from lightmine.encoding.pooling import Head


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A model's files, what is said about it, and what is done after its graph.

    ``verified`` tells whether every file has the SHA-256 that its manifest says.
    """

    folder: Path
    manifest: Manifest
    graph: Path
    tokenizer: Path
    head: Head
    lower_case: bool = False
    verified: bool = False

    @property
    def size(self) -> int:
        """Bytes of the graph, of the weights beside it, and of the tokenizer."""
        beside = [self.graph.parent / name for name in read_graph(self.graph).weight_files]
        return sum(path.stat().st_size for path in (self.graph, self.tokenizer, *beside))

    def measured(self, run: Callable[[Ids, Ids], NDArray[Any]]) -> Source:
        """The source with its dimension, for which the graph is run on one token where no file says it."""
        if self.manifest.dimension:
            return self
        token = np.ones((1, 1), np.int64)
        dimension = self.head(run(token, token), token).shape[1]
        return dataclasses.replace(
            self,
            manifest=dataclasses.replace(self.manifest, dimension=dimension),
            head=dataclasses.replace(self.head, dimension=dimension),
        )
