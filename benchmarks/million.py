"""One million sentences against one million, both directions: time, peak memory, and a check by brute force.

python -m benchmarks.million --data DIR [--rows 1000000] [--budget 3GiB] [--resume DIR]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lightmine
from benchmarks.inputs import WORK, pairs_of
from benchmarks.run import machine
from benchmarks.worker import memory
from lightmine.engine.matrix import PairScorer

RESULTS = Path(__file__).parent / "results" / "million.json"
# Rows of either side whose neighbours are found again by brute force.
CHECKED = 200


def prepare(data: Path, work: Path, rows: int) -> list[Path]:
    """Vectors of distinct real sentences of all languages, by the default model, in two halves."""
    files = [work / f"million-{rows}-{side}.npy" for side in ("left", "right")]
    if not all(file.exists() for file in files):
        texts: set[str] = set()
        for path in sorted(data.glob("train/*/*.tsv.gz")):
            for pair in pairs_of(path):
                texts.update(side for side in pair if side.strip())
        chosen = random.Random(0).sample(sorted(texts), 2 * rows)
        encoder = lightmine.Encoder.load()
        for file, half in zip(files, (chosen[:rows], chosen[rows:]), strict=True):
            np.save(file, encoder.encode(half))
    return files


def wrong(x: NDArray[np.float32], y: NDArray[np.float32], near: Any, k: int) -> int:
    """Of some rows, how many have other neighbours, or scores, than brute force finds."""
    rows = np.linspace(0, len(x) - 1, CHECKED).astype(np.int64)
    scorer, bad = PairScorer(x, y), 0
    for row in rows:
        # Far more than k by float32, then in the one order by the one score.
        rough = y @ x[row]
        others = np.flatnonzero(rough >= np.partition(rough, len(y) - k)[len(y) - k] - 1e-4)
        scores = scorer.exact(np.full(len(others), row), others)
        best = np.lexsort((others, -scores))[:k]
        same = np.array_equal(near.index[row], others[best]) and np.array_equal(near.score[row], scores[best])
        bad += not same
    return bad


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--budget", default="3GiB")
    parser.add_argument("--resume", help="go on from an interrupted run; its time counts from there")
    arguments = parser.parse_args()
    x, y = (np.load(file, mmap_mode="r") for file in prepare(arguments.data, arguments.work, arguments.rows))
    last = [0.0]

    def tell(done: int, total: int) -> None:
        if time.monotonic() - last[0] > 60:
            last[0] = time.monotonic()
            print(f"{done / total:.1%}", file=sys.stderr, flush=True)

    Path("/proc/self/clear_refs").write_text("5")
    anonymous = memory("RssAnon")
    start, processor = time.perf_counter(), time.process_time()
    near = lightmine.neighbors(
        x, y, k=4, both=True, memory_budget=arguments.budget, progress=tell, resume=arguments.resume
    )
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    assert near.reverse is not None
    found = {
        "rows": [len(x), len(y)], "dimension": x.shape[1], "k": 4, "memory_budget": arguments.budget,
        "seconds": seconds, "processor_seconds": processor,
        # Matrices are mapped files: their pages count as resident, and the system may drop them.
        "peak_resident": memory("VmHWM"), "matrices": x.nbytes + y.nbytes, "anonymous_before": anonymous,
        "checked_rows": 2 * CHECKED,
        "wrong_rows": wrong(x, y, near, 4) + wrong(y, x, near.reverse, 4),
        "machine": machine(),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
