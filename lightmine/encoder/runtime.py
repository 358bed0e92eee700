"""A model's graph, open in a provider: token ids and mask in, the values of its output out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.providers import BATCH_TOKENS, Provider, open_graph
from lightmine.errors import BundleError, error_line
from lightmine.loading.bundle import Manifest
from lightmine.loading.modules import Ids
from lightmine.system.processor import targets
from lightmine.system.threads import default_threads

# An input of graphs that pool and leave out a prompt: the mask without the prompt's tokens.
POOLING_MASK = "pooling_mask"
KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids", POOLING_MASK)


class Runtime:
    """A graph that is ready to run, from several threads at once.

    Attributes
    ----------
    provider : str
        ``cpu``, ``openvino`` or ``cuda``.
    reason : str
        Why this provider.
    threads : int
        Workers that it was opened for.
    batch_tokens : int
        The fastest batch size as measured, in tokens.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        *,
        provider: Provider = "auto",
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
        """Values of the graph's output for one batch; pooling leaves out its first `skip` tokens.

        Raises
        ------
        BundleError
            The graph cannot be run on these inputs, or its output is not an array of floats.
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
        except Exception as error:  # the runtimes' exceptions have no other base class
            raise BundleError(f"{self._path}: cannot be run: {error_line(error, -1)}") from None
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            kind = getattr(values, "dtype", type(values).__name__)
            raise BundleError(f"{self._path}: its output {self._output} is of {kind}, not of floats")
        return values


def check_suits(manifest: Manifest) -> None:
    """Refuse a bundle on a processor where its arithmetic would be wrong.

    8-bit weights overflow on x86 without VNNI, and nothing would report that the vectors are wrong.

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
