"""Sessions that run a loaded graph, with one interface for all providers; all are thread-safe."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Feed = dict[str, NDArray[Any]]


class Session(Protocol):
    """A graph's inputs by name and element type, its outputs by name, and a run."""

    inputs: dict[str, str]
    outputs: list[str]

    def run(self, output: str, feed: Feed) -> NDArray[Any]:
        """One output of the graph for these inputs, in host memory."""


class OrtSession:
    """A session of ONNX Runtime."""

    def __init__(self, session: Any) -> None:
        self._session = session
        # Types are written like tensor(int64).
        self.inputs = {value.name: value.type[len("tensor(") : -1] for value in session.get_inputs()}
        self.outputs = [value.name for value in session.get_outputs()]

    def run(self, output: str, feed: Feed) -> NDArray[Any]:
        """See `Session`."""
        values: NDArray[Any] = self._session.run([output], feed)[0]
        return values


class CudaSession(OrtSession):
    """A session on a GPU. One binding per run, so that only inputs and the output are copied, once."""

    def run(self, output: str, feed: Feed) -> NDArray[Any]:
        """See `Session`."""
        binding = self._session.io_binding()
        for name, given in feed.items():
            binding.bind_cpu_input(name, given)
        binding.bind_output(output, "cpu")
        self._session.run_with_iobinding(binding)
        values: NDArray[Any] = binding.copy_outputs_to_cpu()[0]
        return values


class OpenVinoSession:
    """A graph compiled by OpenVINO, with an inference request for each thread that runs it."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._own = threading.local()
        # Types are written like i64.
        self.inputs = {
            value.get_any_name(): value.get_element_type().get_type_name().replace("i", "int")
            for value in compiled.inputs
        }
        self.outputs = [name for value in compiled.outputs for name in value.get_names()]

    def run(self, output: str, feed: Feed) -> NDArray[Any]:
        """See `Session`."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer(feed, share_inputs=True)
        return np.array(found[output])
