"""What this machine has for mining, which parts of it work, and what would help.

What can be tried is tried: a provider works if it has run a graph, a variant of the compiled kernel if its
products were right.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lightmine.encoder.encoder import Encoder
from lightmine.encoder.providers import PROVIDERS, Provider, open_graph
from lightmine.engine import native
from lightmine.engine.matrix import unit_rows
from lightmine.search import neighbors
from lightmine.system.memory import container_memory
from lightmine.system.processor import features, targets
from lightmine.system.threads import default_threads, thread_limit, thread_limits

PACKAGES = (
    "numpy", "onnxruntime", "onnxruntime-gpu", "tokenizers", "onnxruntime-ep-openvino", "openvino",
    "huggingface-hub",
)  # fmt: skip
# Processor features that speed and correct results depend on, with Linux's names on x86 and on ARM.
FEATURES = {
    "AVX2": {"avx2"}, "AVX-512": {"avx512bw"}, "VNNI": {"avx512_vnni", "avx_vnni"},
    "AMX int8": {"amx_int8"}, "AMX bf16": {"amx_bf16"}, "AVX-512 bf16": {"avx512_bf16"},
    "dot product": {"asimddp"}, "int8 matrices": {"i8mm"}, "ARM bf16": {"bf16"}, "SVE": {"sve"},
}  # fmt: skip
TEXTS = (
    "Is there a night train to the coast?", "The oven takes ten minutes to warm up.", "Guten Morgen!",
    "Mein Fahrrad steht seit gestern vor der Bibliothek, und niemand hat es angefasst.",
    "Où est la gare la plus proche ?", "Elle a promis de nous écrire dès qu'elle arriverait à Lyon.",
    "No sé si mañana va a llover.", "De kinderen spelen buiten tot het donker wordt.",
    "今天的会议改到下午三点。",
    "Please keep the receipt: without it we can neither repair nor exchange the lamp that you bought.",
)  # fmt: skip
ROWS, WIDTH = 6_000, 256
# The product of two matrices, to try providers with.
PRODUCT = Path(__file__).parent / "encoder/data/gemm.onnx"


def examine(*, seconds: float = 10.0) -> dict[str, Any]:
    """Examine the machine, and try its providers and the compiled kernel.

    Parameters
    ----------
    seconds : float
        About how long the benchmark takes; 0 leaves it out.

    Returns
    -------
    dict
        Sections by name, of strings, numbers, lists and dicts alone; ``advice`` is a list of sentences.

    Examples
    --------
    >>> report = examine(seconds=0)
    >>> report["providers"]["cpu"]["runs"]
    True
    """
    report: dict[str, Any] = {
        "system": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "machine": platform.machine(),
        },
        "packages": {name: _version(name) for name in PACKAGES},
        "processor": {
            "name": _processor_name(),
            "features": {name: bool(flags & features()) for name, flags in FEATURES.items()},
            "targets": sorted(targets()),
        },
        "threads": _threads(),
        "memory": {"bytes": _memory(), "limit": container_memory()},
        "providers": {name: _provider(name) for name in PROVIDERS if name != "auto"},
    }
    runs = report["providers"]["cpu"]["runs"]
    report["kernel"] = _kernel()
    report["benchmark"] = _benchmark(seconds) if runs and seconds > 0 else {}
    report["advice"] = list(advice(report))
    return report


def advice(report: dict[str, Any]) -> Iterator[str]:
    """What to do about the report's findings, the most serious first."""
    packages, providers, kernel = report["packages"], report["providers"], report["kernel"]
    if packages["onnxruntime"] and packages["onnxruntime-gpu"]:
        yield (
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: pip uninstall -y "
            "onnxruntime onnxruntime-gpu, then install the one you want."
        )
    if not providers["cpu"]["runs"]:
        yield f"Nothing can run: ONNX Runtime fails ({providers['cpu']['detail']}). Install it again."
    if _gpu() and not providers["cuda"]["runs"]:
        yield f"There is an NVIDIA GPU that is not used: {providers['cuda']['detail']}."
    if not kernel["variant"]:
        yield (
            f"Mining uses NumPy ({kernel['reason']}): its answers are the same, and it is several times "
            "slower." + ("" if kernel["library"] else " Install a wheel that was built for this platform.")
        )
    has = report["processor"]["features"]
    if has["AVX2"] and not has["VNNI"]:
        yield (
            "This processor has no VNNI: 8-bit weights overflow, so int8 models must be exported for it "
            "(lightmine export --target avx2)."
        )
    bf16 = any(report["processor"]["features"][name] for name in ("AMX bf16", "AVX-512 bf16"))
    if bf16 and not providers["openvino"]["runs"]:
        yield (
            "This processor computes in bf16: OpenVINO encodes with transformer models several times faster "
            f"({providers['openvino']['detail']}), then --provider openvino."
        )
    yield from _limit_advice(report["threads"], report["memory"])


def _limit_advice(threads: dict[str, Any], memory: dict[str, Any]) -> Iterator[str]:
    """What to do about the limits of threads and memory."""
    if "quota" in threads["source"] and threads["limit"] < (os.cpu_count() or 1):
        yield (
            f"The container grants {threads['limit']} of {os.cpu_count()} processors; more would be faster."
        )
    asked = os.environ.get("LIGHTMINE_THREADS", "")
    if asked.isdigit() and int(asked) > threads["limit"]:
        yield f"LIGHTMINE_THREADS asks for {asked} and {threads['limit']} are granted: it changes nothing."
    limit = memory["limit"] or memory["bytes"]
    if limit and limit < 3 * 2**30:
        share = max(64, limit // 4 // 2**20)
        yield (
            f"There are {limit / 2**30:.1f} GiB of memory: mine with --memory-budget {share}MiB, not the "
            "default 1GiB."
        )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _threads() -> dict[str, Any]:
    found = thread_limit()
    limits = {limit.source: limit.threads for limit in thread_limits()}
    return {"limit": found.threads, "source": found.source, "limits": limits}


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _provider(name: Provider) -> dict[str, Any]:
    """Whether a provider runs a product of two matrices, and gives the right result."""
    try:
        opened = open_graph(PRODUCT, provider=name, precision="fp32", threads=default_threads())
        a = np.arange(12, dtype=np.float32).reshape(3, 4)
        # With a tolerance, because bf16 has eight bits.
        right = np.allclose(opened.session.run("y", {"a": a, "b": a}), a @ a.T, rtol=0.01)
    except Exception as error:  # missing or broken: the report says what
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return {
            "runs": False,
            "detail": re.sub(r"^/\S+: ", "", lines[0]),
        }
    detail = opened.reason.removeprefix("asked for; ")
    return {"runs": right, "detail": detail if right else f"{detail}, but its product is wrong"}


def _kernel() -> dict[str, Any]:
    """The variant of the compiled kernel that mining uses, None for NumPy, and why."""
    kernel, reason = native.find_kernel()
    # The loader names the file first; a report is shown to others, without paths of this machine.
    reason = re.sub(r"(?<=: )/\S+: ", "", reason)
    return {
        "library": native.LIBRARY.exists(),
        "variant": kernel.name if kernel else None,
        "reason": reason,
    }


def _gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _benchmark(seconds: float) -> dict[str, Any]:
    encoder = Encoder.load()
    texts = [f"{text} {number}" for number in range(200) for text in TEXTS]
    per_text = _rate(lambda: encoder.encode(texts), seconds / 2)
    rows = unit_rows(np.random.default_rng(0).standard_normal((ROWS, WIDTH)))
    per_pass = _rate(lambda: neighbors(rows, k=10), seconds / 2)
    return {
        "sentences_per_second": round(len(texts) * per_text),
        "model": encoder.manifest.name,
        "pairs_per_second": round(ROWS * (ROWS - 1) // 2 * per_pass),
        "rows": ROWS,
        "dimension": WIDTH,
    }


def _rate(work: Callable[[], Any], seconds: float) -> float:
    """Runs per second, of at least one run."""
    start = time.perf_counter()
    runs = 0
    while not runs or time.perf_counter() - start < seconds * 0.8:
        work()
        runs += 1
    return runs / (time.perf_counter() - start)


def is_well(report: dict[str, Any]) -> bool:
    """Whether lightmine can run on this machine."""
    return bool(report["providers"]["cpu"]["runs"]) and sys.version_info >= (3, 11)
