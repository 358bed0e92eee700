"""The provider for NVIDIA GPUs: CUDA through onnxruntime-gpu."""

from __future__ import annotations

from pathlib import Path

from lightmine.encoder import onnx_runtime
from lightmine.encoder.onnx_runtime import ASSIGNMENT, CPU, CUDA
from lightmine.encoder.sessions import CudaSession, Session
from lightmine.errors import BundleError, MissingExtraError

INSTALL = "pip install 'onnxruntime-gpu[cuda,cudnn]'"


def cuda_refusal(precision: str) -> str:
    """Why CUDA cannot run a graph of this precision here; empty if it can be tried."""
    if precision.startswith("int8"):
        return f"it does not run {precision} graphs"
    available = onnx_runtime.runtime().get_available_providers()
    return "" if CUDA in available else "this ONNX Runtime has no CUDA"


def open_cuda(path: Path, threads: int, options: dict[str, str]) -> tuple[Session, str]:
    """CUDA through onnxruntime-gpu; `options` are those of its provider."""
    onnxruntime = onnx_runtime.runtime()
    _check_installation()
    if CUDA not in onnxruntime.get_available_providers():
        raise MissingExtraError(
            f"the installed ONNX Runtime has no CUDA: pip uninstall -y onnxruntime && {INSTALL}"
        )
    # CUDA's libraries, if they are installed as wheels. Without them ONNX Runtime takes the system's.
    onnxruntime.preload_dlls()
    # With TensorFloat-32, CUDA's default, vectors would differ from those of the CPU.
    given = {"use_tf32": "0"} | options
    prepared = onnx_runtime.session_options(**{ASSIGNMENT: "1"})
    session = onnx_runtime.open_session(path, prepared, providers=[(CUDA, given), CPU])
    if session.get_providers()[0] != CUDA:
        raise BundleError(
            f"{path}: CUDA did not load, ONNX Runtime fell back to {session.get_providers()[0]}; check the "
            f"driver (nvidia-smi) and: {INSTALL}"
        )
    onnx_runtime.check_complete(path, session, CUDA)
    return CudaSession(session), "every node that computes is on the GPU"


def _check_installation() -> None:
    """Refuse onnxruntime and onnxruntime-gpu in one environment: each overwrites files of the other."""
    if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
        raise BundleError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            f"pip uninstall -y onnxruntime onnxruntime-gpu && {INSTALL}"
        )


def _installed(distribution: str) -> bool:
    # Imported here, because it is slow to import and seldom needed.
    import importlib.metadata

    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
