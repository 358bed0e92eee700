"""The OpenVINO provider: ONNX Runtime's plugin, or OpenVINO's own package if the plugin has no device."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightmine.encoder import onnx_runtime
from lightmine.encoder.onnx_runtime import ASSIGNMENT, OPENVINO
from lightmine.encoder.sessions import OpenVinoSession, OrtSession, Session
from lightmine.errors import BundleError, MissingExtraError, error_line, install_line

PACKAGE, PLUGIN = "openvino", "onnxruntime_ep_openvino"


def openvino_refusal() -> str:
    """Why OpenVINO is not taken unless it is requested."""
    installed = any(map(importlib.util.find_spec, (PLUGIN, PACKAGE)))
    return "it changes vectors a little, so it must be asked for" if installed else "not installed"


def open_openvino(path: Path, threads: int, options: dict[str, str]) -> tuple[Session, str]:
    """OpenVINO on the CPU: ONNX Runtime's plugin, or OpenVINO's own package if the plugin has no device.

    `options` are properties of OpenVINO's CPU device. It computes in bf16 if the processor has it, unless
    ``INFERENCE_PRECISION_HINT`` is given.
    """
    device, refusal = _plugin_device()
    if device is not None:
        return _open_plugin(path, device, threads, options)
    if importlib.util.find_spec(PACKAGE) is None:
        raise MissingExtraError(refusal)
    core = _openvino().Core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    properties = openvino_properties(capabilities, threads, options)
    try:
        compiled = core.compile_model(core.read_model(str(path)), "CPU", properties)
    except Exception as error:  # OpenVINO raises RuntimeError and classes of its own
        raise BundleError(f"{path}: OpenVINO cannot load it: {error_line(error, -1)}") from None
    return OpenVinoSession(compiled), _detail("runtime", properties)


def _open_plugin(path: Path, device: Any, threads: int, options: dict[str, str]) -> tuple[Session, str]:
    capabilities = device.ep_metadata.get("OPTIMIZATION_CAPABILITIES", "").split()
    properties = openvino_properties(capabilities, threads, options)
    prepared = onnx_runtime.session_options(**{ASSIGNMENT: "1"})
    prepared.add_provider_for_devices([device], {"load_config": json.dumps({"CPU": properties})})
    session = onnx_runtime.open_session(path, prepared)
    # ONNX Runtime may accept the provider's name and run the graph in another.
    if session.get_providers()[0] != OPENVINO:
        raise BundleError(f"{path}: OpenVINO did not load; ONNX Runtime fell back to the CPU provider")
    onnx_runtime.check_complete(path, session, OPENVINO)
    return OrtSession(session), _detail("plugin", properties)


def _openvino() -> Any:
    """OpenVINO's own package, without its telemetry.

    Its import reports to Google Analytics and writes an identifier into the user's home. OpenVINO works
    without that part if it cannot be imported.
    """
    name = "openvino_telemetry"
    blocked = PACKAGE not in sys.modules and name not in sys.modules
    if blocked:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(PACKAGE)
    finally:
        if blocked:
            del sys.modules[name]


def openvino_properties(capabilities: Any, threads: int, options: Mapping[str, str]) -> dict[str, str]:
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


def _detail(variant: str, properties: Mapping[str, str]) -> str:
    streams = properties["NUM_STREAMS"]
    return f"OpenVINO's {variant}, {properties['INFERENCE_PRECISION_HINT']}, {streams} streams"


_registering = threading.Lock()


def _plugin_device() -> tuple[Any, str]:
    """The CPU as a device of the OpenVINO plugin; or None, and why there is none."""
    if importlib.util.find_spec(PLUGIN) is None:
        return None, f"OpenVINO is not installed: {install_line('openvino')}"
    onnxruntime, plugin = onnx_runtime.runtime(), importlib.import_module(PLUGIN)
    with _registering:
        if not any(device.ep_name == OPENVINO for device in onnxruntime.get_ep_devices()):
            try:
                onnxruntime.register_execution_provider_library(OPENVINO, plugin.get_library_path())
            except Exception as error:
                # On a processor without devices it stays registered, and another registration is refused.
                if "already registered" not in str(error):
                    raise BundleError(
                        f"OpenVINO's plugin cannot be loaded: {error_line(error, -1)}"
                    ) from None
    for device in onnxruntime.get_ep_devices():
        if device.ep_name == OPENVINO and device.ep_metadata.get("ov_device") == "CPU":
            return device, ""
    return None, "OpenVINO's plugin serves Intel's processors alone; on this one: pip install openvino"
