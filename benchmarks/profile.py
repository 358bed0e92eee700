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
from lightmine.engine import bounds, join, matmul, matrix, pool, selection, worker
from lightmine.engine.tuning import DEFAULT_TUNING
from lightmine.system.threads import default_threads

RESULTS = Path(__file__).parent / "results" / "profile.json"

# Name of the part, where the function stands, and what it is called there.
PARTS = [
    ("estimate min_score", join.SimilarityJoin, "_estimate"),
    ("order and compress rows", join.SimilarityJoin, "_kernel"),
    ("product", bounds.Int8Scorer, "scores"),
    ("comparison", worker.Worker, "_flags"),
    ("float32 scores", matrix.PairScorer, "rough"),
    ("exact scores", matrix.PairScorer, "exact"),
    ("selection", selection.Candidates, "_selected"),
]


class Clock:
    """Adds up the seconds that wrapped functions take, over all threads, and what they return."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()
        self._lock = threading.Lock()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            with self._lock:
                self.seconds[name] += time.perf_counter() - start
                self.pairs[name] += len(arguments[1]) if name in ("float32 scores", "exact scores") else 0
            return result

        return timed


class StageCounts:
    """Counts the pairs that each number of components was multiplied for."""

    def __init__(self) -> None:
        self.pairs: Counter[int] = Counter()
        self._lock = threading.Lock()

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(one: Any, bound_stage: Any, raw: Any, *tile: Any) -> Any:
            with self._lock:
                self.pairs[bound_stage.n_components] += raw.size
            return function(one, bound_stage, raw, *tile)

        return counted

    def shares(self, pairs: float) -> dict[str, float]:
        """For each number of components; over 1 in all: some tiles take two stages."""
        return {str(n_components): count / pairs for n_components, count in sorted(self.pairs.items())}


def profile(job: Callable[[], Any], pairs: float, workers: int) -> dict[str, Any]:
    """One run of a job, its parts in thread-seconds."""
    clock, stage_components = Clock(), StageCounts()
    originals = [(place, name, getattr(place, name)) for _, place, name in PARTS]
    for (part, _, _), (place, name, function) in zip(PARTS, originals, strict=True):
        setattr(place, name, clock.wrap(part, function))
    flags = worker.Worker._flags
    worker.Worker._flags = stage_components.wrap(flags)  # type: ignore[method-assign]
    start = time.perf_counter()
    try:
        job()
    finally:
        worker.Worker._flags = flags  # type: ignore[method-assign]
        for place, name, function in originals:
            setattr(place, name, function)
    wall = time.perf_counter() - start
    shares = {name: clock.seconds[name] / (workers * wall) for name, _, _ in PARTS}
    # These parts run on the calling thread: all workers wait or work for them.
    for name in ("estimate min_score", "order and compress rows"):
        shares[name] *= workers
    return {
        "seconds": wall,
        "pairs_a_second": pairs / wall,
        "share_of_thread_time": shares,
        "pairs_scored_in_float32": clock.pairs["float32 scores"],
        "pairs_scored_exactly": clock.pairs["exact scores"],
        "depths": stage_components.shares(pairs),
        "product_picoseconds_a_pair": 1e12 * clock.seconds["product"] / pairs,
    }


def best_product(n_components: int, workers: int) -> float:
    """Picoseconds of a thread for a pair, of the product alone on tiles that stay in a cache."""
    rng = np.random.default_rng(0)
    rows, columns = DEFAULT_TUNING.tile_rows, DEFAULT_TUNING.tile_columns
    a = rng.integers(64, 192, (rows, n_components)).astype(np.uint8)
    b = rng.integers(-64, 64, (n_components, columns)).astype(np.int8)
    size, count = rows * columns, 200
    times = []
    for _ in range(5):
        start = time.perf_counter()
        pool.run(range(count), lambda product, _: product(a, b),
                 lambda: matmul.Int8Product(size=size), workers=workers)  # fmt: skip
        times.append(time.perf_counter() - start)
    return 1e12 * min(times) * workers / (count * size)


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
    found: dict[str, Any] = {"machine": machine(), "rows": len(x), "jobs": {}}
    for name, job in jobs.items():
        result = profile(job, pairs, workers)
        best = sum(
            share * best_product(int(n_components), workers)
            for n_components, share in result["depths"].items()
        )
        result["best_product_picoseconds_a_pair"] = best
        found["jobs"][name] = result
        print(f"{name}: {json.dumps(result)}", file=sys.stderr)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
