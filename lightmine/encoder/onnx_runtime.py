"""ONNX Runtime: its import, its session options, and opening a graph in one of its providers."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from lightmine.errors import BundleError, error_line

CPU, CUDA, OPENVINO = "CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"
# Operators that take the time. Shapes and masks may stay on the processor, where ONNX Runtime puts them.
COMPUTE = ("MatMul", "Gemm", "Attention", "Conv", "Softmax", "Normalization", "Gelu", "Erf", "Tanh")
# Makes a session record which provider runs each node, for `check_complete`.
ASSIGNMENT = "session.record_ep_graph_assignment_info"


def runtime() -> Any:
    """ONNX Runtime, imported when it is first needed, without its telemetry."""
    # ONNX Runtime reads it at its first import; a value that the user has set is kept.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


def session_options(**entries: str) -> Any:
    """Options of a session without threads of its own: each of our workers runs in its own thread.

    This is faster than one session of many threads (measured on 2 cores: 518 against 474 sentences/s), and
    no thread spins while it waits, which would use up a container's quota.
    """
    options = runtime().SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory plan for every shape, of which batches have hundreds: no faster, and 8 MiB more.
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    return options


def open_session(path: Path, options: Any, **arguments: Any) -> Any:
    """A session of ONNX Runtime.

    Raises
    ------
    BundleError
        The graph cannot be loaded.
    """
    try:
        # Otherwise it prints to standard output, where the pairs go, and tries another provider.
        return runtime().InferenceSession(str(path), options, enable_fallback=0, **arguments)
    except Exception as error:  # the runtime's exceptions have no other base class
        raise BundleError(f"{path}: ONNX Runtime cannot load it: {error_line(error, -1)}") from None


def check_complete(path: Path, session: Any, provider: str) -> None:
    """Refuse a session in which another provider than the requested one runs operators that compute.

    Raises
    ------
    BundleError
        The message counts the operators.
    """
    elsewhere: dict[str, int] = {}
    for part in session.get_provider_graph_assignment_info():
        if part.ep_name != provider:
            for node in part.get_nodes():
                if any(kind in node.op_type for kind in COMPUTE):
                    elsewhere[node.op_type] = elsewhere.get(node.op_type, 0) + 1
    if elsewhere:
        what = ", ".join(f"{count} {kind}" for kind, count in sorted(elsewhere.items()))
        raise BundleError(
            f"{path}: {provider.removesuffix('ExecutionProvider')} leaves {what} of this graph to another "
            "provider; use provider='cpu', or export the model in a precision that it runs"
        )
