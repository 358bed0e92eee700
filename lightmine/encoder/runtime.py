"""A bundle's graph, open in a provider: token ids and mask in, the values of its output out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.providers import BATCH_TOKENS, last_line, open_graph
from lightmine.errors import BundleError
from lightmine.loading.bundle import Manifest
from lightmine.loading.modules import Ids
from lightmine.system.processor import targets
from lightmine.system.threads import default_threads

# An input of graphs that pool inside and leave out a prompt: the mask without the prompt's tokens.
POOLING_MASK = "pooling_mask"
KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids", POOLING_MASK)


class Runtime:
    """A graph that is ready to run, from several threads at once.

    Attributes
    ----------
    provider : str
        ``cpu``, ``openvino`` or ``cuda``.
    reason : str
        Why that one, in plain words.
    threads : int
        How many workers it was opened for.
    batch_tokens : int
        The batch that suits it, in tokens.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        *,
        provider: str = "auto",
        threads: int | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.threads = threads or default_threads()
        opened = open_graph(
            path, provider=provider, precision=manifest.precision, threads=self.threads, options=options
        )
        self._session, self.provider, self.reason = opened.session, opened.provider, opened.reason
        if self.provider == "cpu":
            check_suits(manifest)
        if set(self._session.inputs) != set(manifest.inputs):
            raise BundleError(
                f"{path}: its inputs are {sorted(self._session.inputs)}, not {sorted(manifest.inputs)}"
            )
        if unknown := set(manifest.inputs) - set(KNOWN_INPUTS):
            raise BundleError(f"{path}: its input {min(unknown)} is none of {', '.join(KNOWN_INPUTS)}")
        for name, kind in self._session.inputs.items():
            if kind not in ("int32", "int64"):
                raise BundleError(f"{path}: its input {name} takes {kind}, and token ids are int32 or int64")
        if manifest.output not in self._session.outputs:
            raise BundleError(f"{path}: has no output named {manifest.output}")
        self.batch_tokens = manifest.batch_tokens or BATCH_TOKENS[self.provider]
        self._output, self._path = manifest.output, path

    def run(self, ids: Ids, mask: Ids, skip: int = 0) -> NDArray[Any]:
        """Values of the graph's output for one batch, whose first `skip` tokens are not to be pooled.

        Raises
        ------
        BundleError
            The graph cannot be run on these inputs, or gives something else than an array of floats.
        """
        inputs = self._session.inputs
        feed = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in inputs:
            feed["token_type_ids"] = np.zeros_like(ids)
        if POOLING_MASK in inputs:
            feed[POOLING_MASK] = mask * (np.cumsum(mask, axis=1) > skip)
        given = {name: feed[name].astype(inputs[name], copy=False) for name in inputs}
        try:
            values = self._session.run(self._output, given)
        except MemoryError:
            raise
        except Exception as error:  # the runtimes' exceptions have no base but Exception
            raise BundleError(f"{self._path}: cannot be run: {last_line(error)}") from None
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            kind = getattr(values, "dtype", type(values).__name__)
            raise BundleError(f"{self._path}: its output {self._output} is of {kind}, not of floats")
        return values


def check_suits(manifest: Manifest) -> None:
    """Refuse a bundle on a processor where its arithmetic would be wrong.

    8-bit weights overflow on x86 without VNNI, and the vectors are wrong without a word.

    Raises
    ------
    BundleError
        None of the bundle's targets is this processor.
    """
    if manifest.cpus and not targets() & set(manifest.cpus):
        here = ", ".join(sorted(targets())) or "none of the targets"
        raise BundleError(
            f"{manifest.name}: its {manifest.precision} graph is for processors with "
            f"{' or '.join(manifest.cpus)}, and this one has {here}: its vectors would be wrong here; "
            "export the model with --target for this processor, or with --precision fp32"
        )
