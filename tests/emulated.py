"""The engine against the oracle on whatever processor this is: run under an emulator by test_emulated."""

import sys

import numpy as np

from lightmine import unit_rows
from lightmine.engine import native
from lightmine.paraphrase import _mine
from lightmine.search import _neighbors
from tests import variants
from tests.oracle import dense, nearest, paraphrases


def main():
    rng = np.random.default_rng(0)
    x = unit_rows(
        rng.standard_normal((20, 100))[rng.integers(0, 20, 110)] + 0.5 * rng.standard_normal((110, 100))
    )
    kernel, reason = native.find_kernel()
    engines = variants.runnable() if kernel else ["numpy"]
    scores, options = dense(x[:50], x[50:]), dict(top_k=4, max_pairs=60, threshold=0.4)
    expected = paraphrases(x, **options)
    for engine in engines:
        for tuning in (variants.SMALL, variants.COMPONENTS):
            job = variants.job(engine, tuning, threads=2)
            assert list(_mine(x, **options, job=job)) == expected, engine
            near = _neighbors(x[:50], x[50:], k=3, both=True, job=job)
            assert near.index.tolist() == nearest(scores, 3), engine
            assert near.reverse.index.tolist() == nearest(scores.T, 3), engine
    found = dict(kernel=kernel.name if kernel else None, reason=reason, engines=engines)
    print(found, file=sys.stdout)


if __name__ == "__main__":
    main()
