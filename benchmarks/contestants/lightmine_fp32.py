"""lightmine without int8: what a processor gets whose int8 product is wrong or slow."""

import lightmine
from benchmarks.contestants.lightmine import VERSION, columns_of

__all__ = ["VERSION", "paraphrase"]


def paraphrase(*, x, **options):
    return lambda: columns_of(lightmine.mine_paraphrases(x, kernel="fp32", **options))
