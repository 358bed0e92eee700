"""The providers that run a graph: ONNX Runtime's CPU and CUDA providers, and OpenVINO.

A provider that is asked for runs all of the graph's arithmetic; otherwise an error says why it does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from lightmine._validation import check_choice
from lightmine.encoder import onnx_runtime
from lightmine.encoder.cuda_provider import cuda_refusal, open_cuda
from lightmine.encoder.onnx_runtime import CPU
from lightmine.encoder.openvino_provider import open_openvino, openvino_refusal
from lightmine.encoder.sessions import OrtSession, Session
from lightmine.errors import ArgumentError, LightmineError

Provider = Literal["auto", "cpu", "openvino", "cuda"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)

# Tokens of a batch, with padding: enough to keep a worker busy, few enough for its cache. Measured by
# benchmarks/encode.py --sweep; for cuda it is not measured yet.
BATCH_TOKENS = {"cpu": 512, "openvino": 1_024, "cuda": 16_384}
# Fusions that are slower on the CPU provider than the operators that they replace: an int8 graph takes 10
# to 20 % more time with the first, 5 % with the second.
NOT_ON_CPU = ["SkipLayerNormFusion", "BiasGeluFusion"]


@dataclasses.dataclass(frozen=True)
class OpenGraph:
    """A graph that is ready to run, the provider that runs it, and why this provider."""

    session: Session
    provider: str
    reason: str


def open_graph(
    path: Path,
    *,
    provider: Provider,
    precision: str,
    threads: int,
    options: Mapping[str, str] | None = None,
) -> OpenGraph:
    """Open a graph in the requested provider; ``auto`` takes CUDA if it runs the graph, else the CPU.

    ``auto`` never takes OpenVINO: its bf16 changes vectors, by about 1e-5 in cosine.

    Raises
    ------
    ArgumentError
        An unknown provider, or options without a provider that they are for.
    BundleError
        The graph is broken, or the provider does not run all of it.
    MissingExtraError
        The provider is not installed.
    """
    check_choice("provider", provider, PROVIDERS)
    if provider != "auto":
        session, detail = OPENERS[provider](path, threads, dict(options or {}))
        return OpenGraph(session, provider, f"asked for; {detail}")
    if options:
        raise ArgumentError("provider_options belong to a provider: name one of cpu, openvino, cuda")
    return _open_auto(path, precision, threads)


def _open_auto(path: Path, precision: str, threads: int) -> OpenGraph:
    declined = []
    for name, refusal in (("cuda", cuda_refusal(precision)), ("openvino", openvino_refusal())):
        declined.append(f"{name} not taken: {refusal}")
        if not refusal:
            try:
                session, detail = OPENERS[name](path, threads, {})
                return OpenGraph(session, name, detail)
            except LightmineError as error:
                declined[-1] = f"{name} not taken: {error}"
    session, detail = open_cpu(path, threads, {})
    return OpenGraph(session, "cpu", "; ".join([detail, *declined]))


def open_cpu(path: Path, threads: int, options: dict[str, str]) -> tuple[Session, str]:
    """ONNX Runtime's CPU provider; `options` are entries of its session configuration."""
    prepared = onnx_runtime.session_options(**options)
    session = onnx_runtime.open_session(path, prepared, providers=[CPU], disabled_optimizers=NOT_ON_CPU)
    return OrtSession(session), f"{threads} workers of one thread"


OPENERS: dict[str, Callable[[Path, int, dict[str, str]], tuple[Session, str]]] = {
    "cpu": open_cpu,
    "openvino": open_openvino,
    "cuda": open_cuda,
}
