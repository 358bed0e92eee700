"""lightmine without its compiled kernel: what an installation gets that has none."""

import lightmine
from benchmarks.contestants.lightmine import VERSION, columns_of

__all__ = ["VERSION", "paraphrase"]


def paraphrase(*, x, **options):
    return lambda: columns_of(lightmine.mine_paraphrases(x, kernel="numpy", **options))
