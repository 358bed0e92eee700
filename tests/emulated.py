"""The engine against the oracle on whatever processor this is: run under an emulator by test_emulated."""

import numpy as np

from lightmine import unit_rows
from lightmine.engine import matmul
from lightmine.engine.job import Job
from lightmine.engine.tuning import Tuning
from lightmine.paraphrase import _mine
from lightmine.search import _neighbors
from tests.oracle import dense, nearest, paraphrases

# Small inputs take the paths of large ones; the int8 kernel wherever it is right, fast or not.
TUNING = Tuning(small_pairs=1, tile_rows=32, tile_columns=64, int8_speedup=99.0)


def main():
    rng = np.random.default_rng(0)
    x = unit_rows(
        rng.standard_normal((20, 48))[rng.integers(0, 20, 150)] + 0.5 * rng.standard_normal((150, 48))
    )
    for kernel in ("auto", "fp32"):
        job = Job(kernel=kernel, tuning=TUNING)
        for options in (dict(top_k=4, max_pairs=80), dict(top_k=None, max_pairs=None, threshold=0.7)):
            assert list(_mine(x, **options, job=job)) == paraphrases(x, **options)
        near = _neighbors(x[:60], x[60:], k=3, both=True, job=job)
        scores = dense(x[:60], x[60:])
        assert near.index.tolist() == nearest(scores, 3)
        assert near.reverse.index.tolist() == nearest(scores.T, 3)
    print(f"levels {matmul.safe_int8_qmax()}, 127 right: {matmul.is_right(127)}")


if __name__ == "__main__":
    main()
