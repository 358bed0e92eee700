"""Where the engine's time goes, and how near it is to the product alone.

    python -m benchmarks.profile [--work FOLDER] [--rows 100000]

Thread-seconds of each part of a job, pairs a second, and the product's rate beside the best rate that
the same product reaches in the same run with nothing else to do. Writes benchmarks/results/profile.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lightmine
from benchmarks.run import machine
from lightmine.engine import join, native, pool, selection, worker
from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.quantization import CompressedRows
from lightmine.engine.selection import Candidates
from lightmine.engine.spec import JoinSpec
from lightmine.engine.tiling import Plan
from lightmine.engine.tuning import DEFAULT_TUNING
from lightmine.system.threads import default_threads

RESULTS = Path(__file__).parent / "results" / "profile.json"

# Name of the part, where the function stands, what it is called there, and whether all workers wait for it.
PARTS = [
    ("estimate min_score", join.SimilarityJoin, "_estimate", True),
    ("choose components and scale", join, "choose_params", True),
    ("compress rows", join, "compress_rows", True),
    ("kernel", worker.NativeJoin, "strip", False),
    ("selection", selection.Candidates, "_selected", False),
]
# The kernel's counts: pairs that passed the bound, the float32 score, and the exact score.
STEPS = ("pairs_scored_in_float32", "pairs_scored_exactly", "pairs_offered")


class Clock:
    """Adds up the seconds of wrapped functions, over all threads, and the pairs of the kernel's calls."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()
        self.joined: tuple[FloatMatrix, CompressedRows] | None = None
        self._lock = threading.Lock()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            before = arguments[-1].copy() if name == "kernel" else None
            start = time.perf_counter()
            result = function(*arguments, **options)
            with self._lock:
                self.seconds[name] += time.perf_counter() - start
                if before is not None:
                    self.pairs.update(dict(zip(STEPS, (arguments[-1] - before).tolist(), strict=True)))
                if name == "compress rows" and (
                    self.joined is None or len(arguments[0]) >= len(self.joined[0])
                ):
                    self.joined = arguments[0], result
            return result

        return timed


def profile(job: Callable[[], Any], kernel: native.Kernel, pairs: float, workers: int) -> dict[str, Any]:
    """One run of a job, its parts in thread-seconds."""
    clock = Clock()
    originals = [(place, name, getattr(place, name)) for _, place, name, _ in PARTS]
    for (part, *_), (place, name, function) in zip(PARTS, originals, strict=True):
        setattr(place, name, clock.wrap(part, function))
    start = time.perf_counter()
    try:
        job()
    finally:
        for place, name, function in originals:
            setattr(place, name, function)
    wall = time.perf_counter() - start
    shares = {name: clock.seconds[name] / (wall if waits else workers * wall) for name, _, _, waits in PARTS}
    found: dict[str, Any] = {"seconds": wall, "pairs_a_second": pairs / wall, **clock.pairs}
    if clock.joined is not None:
        x, rows = clock.joined
        product = product_seconds(kernel, x, rows, workers)
        # Of the kernel's time, what the same tiles take where no pair passes.
        shares["product and bounds"] = min(product / (workers * wall), shares["kernel"])
        shares["float32 and exact scores"] = shares.pop("kernel") - shares["product and bounds"]
        found["components"] = rows.params.n_components
        found["product_picoseconds_a_pair"] = 1e12 * product / pairs
        found["best_product_picoseconds_a_pair"] = best_product(kernel, rows.params.width, workers=1)
    return found | {"share_of_thread_time": shares}


def product_seconds(kernel: native.Kernel, x: FloatMatrix, rows: CompressedRows, workers: int) -> float:
    """Thread-seconds of the kernel on all tiles of a self join if no pair can reach min_score."""
    n = len(x)
    spec = JoinSpec(n, n, self_join=True, k_left=1, k_right=1, min_score=2.0)
    candidates = Candidates(spec, capacity=1 << 20, tuning=DEFAULT_TUNING, kernel=kernel)
    plan = Plan(n, n, True, *DEFAULT_TUNING.native_tile, workers, 1 << 20, native=True)
    shared = worker.SharedState(x, x, candidates, plan, DEFAULT_TUNING)
    one = worker.NativeJoin(kernel, x, x, rows, rows, candidates, best_scores=False)
    start = time.perf_counter()
    pool.run(plan.tiles(), lambda tools, tile: tools.mine(tile),
             lambda: worker.NativeWorker(shared, one), workers=workers)  # fmt: skip
    return workers * (time.perf_counter() - start)


def best_product(kernel: native.Kernel, width: int, workers: int) -> float:
    """Picoseconds of a thread for a pair, of the integer product alone on one tile that stays in a cache."""
    rng = np.random.default_rng(0)
    m, count = 2048, 400
    left, right = (
        rng.integers(-kernel.qmax, kernel.qmax + 1, (rows, width)).astype(np.int8)
        for rows in (native.BLOCK, m)
    )
    panels = np.ascontiguousarray(
        right.reshape(m // native.PANEL, native.PANEL, width // 4, 4).transpose(0, 2, 1, 3)
    )
    sums, errors = right.sum(axis=1, dtype=np.int32), np.zeros(m, np.int32)
    limits, own = np.full(native.BLOCK, 2**31 - 1, np.int32), np.zeros(native.BLOCK, np.int32)

    def multiply(tools: list[Any], _: int) -> None:
        kernel.library.lightmine_tile(
            kernel.number, left.ctypes.data, panels.ctypes.data, sums.ctypes.data, errors.ctypes.data,
            limits.ctypes.data, own.ctypes.data, None, width, m // native.PANEL,
            *(array.ctypes.data for array in tools),
        )  # fmt: skip

    def tools() -> list[Any]:
        return [np.empty_like(left), np.empty(m, np.int32), np.empty(native.BLOCK * m, np.uint32)]

    times = []
    for _ in range(5):
        start = time.perf_counter()
        pool.run(range(count), multiply, tools, workers=workers)
        times.append(time.perf_counter() - start)
    return 1e12 * min(times) * workers / (count * native.BLOCK * m)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "lightmine-benchmarks")
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    x = np.ascontiguousarray(np.load(arguments.work / "minilm.npy")[: arguments.rows])
    workers = default_threads()
    jobs: dict[str, Callable[[], Any]] = {
        "paraphrase, top_k 100, max_pairs 500,000": lambda: lightmine.mine_paraphrases(x),
        "paraphrase, top_k 10, max_pairs 100,000": lambda: lightmine.mine_paraphrases(
            x, top_k=10, max_pairs=100_000
        ),
        "pairs over 0.8": lambda: lightmine.mine_paraphrases(x, top_k=None, max_pairs=None, threshold=0.8),
        "neighbours, k 10": lambda: lightmine.neighbors(x, k=10),
    }
    pairs = len(x) * (len(x) - 1) / 2
    kernel, reason = native.find_kernel()
    if kernel is None:
        parser.error(f"the compiled kernel is what is profiled: {reason}")
    found: dict[str, Any] = {"machine": machine(), "kernel": kernel.name, "rows": len(x), "jobs": {}}
    for name, job in jobs.items():
        result = profile(job, kernel, pairs, workers)
        found["jobs"][name] = result
        print(f"{name}: {json.dumps(result)}", file=sys.stderr)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
