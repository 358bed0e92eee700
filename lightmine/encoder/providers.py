"""Who runs the graph: ONNX Runtime's CPU and CUDA providers, or OpenVINO.

A provider that was asked for runs the graph, all of its arithmetic, or the error says why not.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightmine.encoder.sessions import CudaSession, OpenVinoSession, OrtSession, Session
from lightmine.errors import ArgumentError, BundleError, LightmineError, MissingExtraError, install_line

PROVIDERS = ("auto", "cpu", "openvino", "cuda")
Options = Mapping[str, str]

# Tokens of a batch, padding counted: enough to keep a worker busy, few enough for its cache. Measured by
# benchmarks/encode.py --sweep, but for cuda, which awaits hardware.
BATCH_TOKENS = {"cpu": 512, "openvino": 1_024, "cuda": 16_384}

CPU, CUDA, OPENVINO = "CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"
# Slower on the CPU provider than the Add and LayerNormalization, or Gelu, that they would replace: an int8
# graph takes 10 to 20 % more time with the first, 5 % with the second.
NOT_ON_CPU = ["SkipLayerNormFusion", "BiasGeluFusion"]
# Where the time goes; shapes and masks may stay on the processor, as ONNX Runtime has it for CUDA.
COMPUTE = ("MatMul", "Gemm", "Attention", "Conv", "Softmax", "Normalization", "Gelu", "Erf", "Tanh")
ASSIGNMENT = "session.record_ep_graph_assignment_info"


@dataclasses.dataclass(frozen=True)
class Opened:
    """A graph ready to run, the provider that runs it, and why that one."""

    session: Session
    provider: str
    reason: str


def open_graph(
    path: Path, *, provider: str, precision: str, threads: int, options: Options | None = None
) -> Opened:
    """Open a graph in the provider asked for; ``auto`` takes CUDA where it runs the graph, else the CPU.

    OpenVINO is never taken unasked: its bf16 changes vectors, by some 1e-5 in cosine.

    Raises
    ------
    ArgumentError
        An unknown provider, or options without a provider that they are for.
    BundleError
        The graph is broken, or the provider does not run all of it.
    MissingExtraError
        The provider is not installed.
    """
    if provider not in PROVIDERS:
        raise ArgumentError(f"provider must be one of {', '.join(PROVIDERS)}, not {provider!r}")
    if provider != "auto":
        session, detail = OPENERS[provider](path, threads, dict(options or {}))
        return Opened(session, provider, f"asked for; {detail}")
    if options:
        raise ArgumentError("provider_options belong to a provider: name one of cpu, openvino, cuda")
    declined = []
    for name, refusal in (("cuda", _no_cuda(precision)), ("openvino", _no_openvino())):
        declined.append(f"{name} not taken: {refusal}")
        if not refusal:
            try:
                session, detail = OPENERS[name](path, threads, {})
                return Opened(session, name, detail)
            except LightmineError as error:
                declined[-1] = f"{name} not taken: {error}"
    session, detail = open_cpu(path, threads, {})
    return Opened(session, "cpu", "; ".join([detail, *declined]))


def _no_cuda(precision: str) -> str:
    """Why CUDA is not even tried; empty where it is."""
    if precision.startswith("int8"):
        return f"it does not run {precision} graphs"
    return "" if CUDA in runtime().get_available_providers() else "this ONNX Runtime has no CUDA"


def _no_openvino() -> str:
    there = any(map(importlib.util.find_spec, ("onnxruntime_ep_openvino", "openvino")))
    return "it changes vectors a little, so it must be asked for" if there else "not installed"


def runtime() -> Any:
    """ONNX Runtime, imported when first needed and without its telemetry."""
    # Only where the user has not decided: ONNX Runtime reads it when it is first imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


def session_options(**entries: str) -> Any:
    """Options of a session that brings no threads of its own: each of our workers runs on its own thread.

    Such workers encode sooner than one session of many threads (measured on 2 cores: 518 against 474
    sentences/s), and nothing spins while it waits, which would burn a container's quota.
    """
    options = runtime().SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A plan of the memory for every shape seen, and batches have hundreds: no sooner, and 8 MiB more.
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    return options


def open_cpu(path: Path, threads: int, options: dict[str, str]) -> tuple[Session, str]:
    """ONNX Runtime's CPU provider; `options` are entries of its session configuration."""
    prepared = session_options(**options)
    session = _session(path, prepared, providers=[CPU], disabled_optimizers=NOT_ON_CPU)
    return OrtSession(session), f"{threads} workers of one thread"


def open_cuda(path: Path, threads: int, options: dict[str, str]) -> tuple[Session, str]:
    """CUDA through onnxruntime-gpu; `options` are those of its provider."""
    onnxruntime = runtime()
    _one_onnxruntime()
    if CUDA not in onnxruntime.get_available_providers():
        raise MissingExtraError(
            "the installed ONNX Runtime has no CUDA: pip uninstall -y onnxruntime && "
            "pip install 'onnxruntime-gpu[cuda,cudnn]'"
        )
    # CUDA's own libraries, where they came as wheels; without them ONNX Runtime looks in the system's.
    onnxruntime.preload_dlls()
    # In TensorFloat-32, CUDA's default, vectors would not be those of the processor.
    given = {"use_tf32": "0"} | options
    prepared = session_options(**{ASSIGNMENT: "1"})
    session = _session(path, prepared, providers=[(CUDA, given), CPU])
    if session.get_providers()[0] != CUDA:
        raise BundleError(
            f"{path}: CUDA did not load, ONNX Runtime fell back to {session.get_providers()[0]}; check the "
            "driver (nvidia-smi) and: pip install 'onnxruntime-gpu[cuda,cudnn]'"
        )
    _whole(path, session, CUDA)
    return CudaSession(session), "every node that computes is on the GPU"


def _one_onnxruntime() -> None:
    """Refuse onnxruntime and onnxruntime-gpu beside each other: one has overwritten the other's files."""
    if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
        raise BundleError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu[cuda,cudnn]'"
        )


def _installed(distribution: str) -> bool:
    # Here: it takes longer to import than the rest of this file, and is seldom asked.
    import importlib.metadata

    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def open_openvino(path: Path, threads: int, options: dict[str, str]) -> tuple[Session, str]:
    """OpenVINO on the processor: ONNX Runtime's plugin, or where that offers no device, OpenVINO itself.

    `options` are properties of OpenVINO's CPU device. In bf16 where the processor has it, unless
    ``INFERENCE_PRECISION_HINT`` says otherwise.
    """
    device, refusal = _plugin_device()
    if device is not None:
        capabilities = device.ep_metadata.get("OPTIMIZATION_CAPABILITIES", "").split()
        properties = openvino_properties(capabilities, threads, options)
        prepared = session_options(**{ASSIGNMENT: "1"})
        prepared.add_provider_for_devices([device], {"load_config": json.dumps({"CPU": properties})})
        session = _session(path, prepared)
        # Naming the provider is no proof that it runs anything.
        if session.get_providers()[0] != OPENVINO:
            raise BundleError(f"{path}: OpenVINO did not load; ONNX Runtime fell back to the CPU provider")
        _whole(path, session, OPENVINO)
        return OrtSession(session), _openvino_detail("plugin", properties)
    if importlib.util.find_spec("openvino") is None:
        raise MissingExtraError(refusal)
    core = _openvino().Core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    properties = openvino_properties(capabilities, threads, options)
    try:
        compiled = core.compile_model(core.read_model(str(path)), "CPU", properties)
    except Exception as error:  # OpenVINO raises RuntimeError and its own kinds
        raise BundleError(f"{path}: OpenVINO cannot load it: {last_line(error)}") from None
    return OpenVinoSession(compiled), _openvino_detail("runtime", properties)


def _openvino() -> Any:
    """OpenVINO's own package, without its telemetry.

    Importing it reports to Google Analytics and leaves an identity in the user's home; where that part
    cannot be imported OpenVINO does without.
    """
    name = "openvino_telemetry"
    blocked = "openvino" not in sys.modules and name not in sys.modules
    if blocked:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        if blocked:
            del sys.modules[name]


def openvino_properties(capabilities: Any, threads: int, options: Options) -> dict[str, str]:
    """Properties of OpenVINO's CPU device: as many streams as workers, and the precision.

    Examples
    --------
    >>> openvino_properties(["FP32", "BF16"], 2, {})["INFERENCE_PRECISION_HINT"]
    'bf16'
    >>> openvino_properties(["FP32", "BF16"], 2, {"INFERENCE_PRECISION_HINT": "f32"})
    {'INFERENCE_NUM_THREADS': '2', 'NUM_STREAMS': '2', 'INFERENCE_PRECISION_HINT': 'f32'}
    """
    hint = "bf16" if "BF16" in capabilities else "f32"
    chosen = {"INFERENCE_NUM_THREADS": str(threads), "NUM_STREAMS": str(threads)}
    return chosen | {"INFERENCE_PRECISION_HINT": hint} | dict(options)


def _openvino_detail(how: str, properties: Options) -> str:
    streams = properties["NUM_STREAMS"]
    return f"OpenVINO's {how}, {properties['INFERENCE_PRECISION_HINT']}, {streams} streams"


_registering = threading.Lock()


def _plugin_device() -> tuple[Any, str]:
    """The processor as the OpenVINO plugin offers it, or None and why it does not."""
    if importlib.util.find_spec("onnxruntime_ep_openvino") is None:
        return None, f"OpenVINO is not installed: {install_line('openvino')}"
    onnxruntime, plugin = runtime(), importlib.import_module("onnxruntime_ep_openvino")
    with _registering:
        if not any(device.ep_name == OPENVINO for device in onnxruntime.get_ep_devices()):
            try:
                onnxruntime.register_execution_provider_library(OPENVINO, plugin.get_library_path())
            except Exception as error:
                # On a processor without devices it stays registered, and a second time is refused.
                if "already registered" not in str(error):
                    raise BundleError(f"OpenVINO's plugin cannot be loaded: {last_line(error)}") from None
    for device in onnxruntime.get_ep_devices():
        if device.ep_name == OPENVINO and device.ep_metadata.get("ov_device") == "CPU":
            return device, ""
    return None, "OpenVINO's plugin serves Intel's processors alone; on this one: pip install openvino"


def _session(path: Path, options: Any, **arguments: Any) -> Any:
    try:
        # Else it prints to standard output, where the pairs go, and tries once more.
        return runtime().InferenceSession(str(path), options, enable_fallback=0, **arguments)
    except Exception as error:  # the runtime's exceptions have no base but Exception
        raise BundleError(f"{path}: ONNX Runtime cannot load it: {last_line(error)}") from None


def _whole(path: Path, session: Any, provider: str) -> None:
    """Refuse a session that leaves arithmetic to another provider than the one asked for."""
    left: dict[str, int] = {}
    for part in session.get_provider_graph_assignment_info():
        if part.ep_name != provider:
            for node in part.get_nodes():
                if any(kind in node.op_type for kind in COMPUTE):
                    left[node.op_type] = left.get(node.op_type, 0) + 1
    if left:
        what = ", ".join(f"{count} {kind}" for kind, count in sorted(left.items()))
        raise BundleError(
            f"{path}: {provider.removesuffix('ExecutionProvider')} leaves {what} of this graph to another "
            "provider; use provider='cpu', or export the model in a precision that it runs"
        )


def last_line(error: BaseException) -> str:
    """What an error of several lines comes down to; names out of a file cannot steer a terminal.

    Examples
    --------
    >>> last_line(RuntimeError("in a graph:\\nno operator \\x1b[31mEvil"))
    'no operator ?[31mEvil'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    return "".join(character if character.isprintable() else "?" for character in last)


OPENERS: dict[str, Callable[[Path, int, dict[str, str]], tuple[Session, str]]] = {
    "cpu": open_cpu,
    "openvino": open_openvino,
    "cuda": open_cuda,
}
