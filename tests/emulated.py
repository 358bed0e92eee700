"""The engine against the oracle on whatever processor this is: run under an emulator by test_emulated."""

import numpy as np

from lightmine import mine_paraphrases, neighbors, unit_rows
from lightmine.engine import join
from lightmine.engine import matmul as products
from lightmine.engine import tiling as tiles
from tests.oracle import dense, nearest, paraphrases


def main():
    # Small inputs take the paths of large ones; the int8 kernel wherever it is right, fast or not.
    join.SMALL, tiles.ROWS, tiles.COLUMNS = 1, 32, 64
    join.int8_speedup = lambda: 99.0
    rng = np.random.default_rng(0)
    x = unit_rows(
        rng.standard_normal((20, 48))[rng.integers(0, 20, 150)] + 0.5 * rng.standard_normal((150, 48))
    )
    for kernel in ("auto", "fp32"):
        for options in (dict(top_k=4, max_pairs=80), dict(top_k=None, max_pairs=None, threshold=0.7)):
            assert list(mine_paraphrases(x, kernel=kernel, **options)) == paraphrases(x, **options)
        near = neighbors(x[:60], x[60:], k=3, both=True, kernel=kernel)
        scores = dense(x[:60], x[60:])
        assert near.index.tolist() == nearest(scores, 3)
        assert near.reverse.index.tolist() == nearest(scores.T, 3)
    print(f"levels {products.safe_int8_qmax()}, 127 right: {products.is_right(127)}")


if __name__ == "__main__":
    main()
