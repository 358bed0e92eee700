"""User code with the public API, which mypy --strict must accept; it is checked, not run."""

from collections.abc import Sequence
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import lightmine
from lightmine import evaluation
from lightmine.errors import ArgumentError, BundleError, LightmineError
from lightmine.store import Cache, open_embeddings, write_embeddings

sentences: Sequence[str] = ["How old are you?", "What is your age?"]
encoder = lightmine.Encoder.load("static-multilingual", threads=2)
x = encoder.encode(sentences)
assert_type(encoder, lightmine.Encoder)

pairs = lightmine.mine_paraphrases(
    x, top_k=10, max_pairs=None, threshold=0.8, max_score=0.99, kernel="numpy", memory_budget="512MiB",
    threads=2, progress=True,
)  # fmt: skip
assert_type(pairs, lightmine.Pairs)
assert_type(pairs[0], tuple[float, int, int])
assert_type(pairs[:3], lightmine.Pairs)
assert_type(pairs.score, NDArray[np.float32])
for score, left, right in pairs:
    assert_type(score, float)
    print(sentences[left], sentences[right], score)


def show(done: int, total: int) -> None:
    print(f"{done} of {total}")


near = lightmine.neighbors(x, k=3, both=False, progress=show)
assert_type(near, lightmine.Neighbors)
assert_type(near[0], list[tuple[float, int, int]])
assert_type(near.reverse, lightmine.Neighbors | None)

bitext = lightmine.mine_bitext(
    x, x, compat="stopes", k=4, k_backward=8, margin="distance", retrieval="intersect", rank="cosine",
    n_best=2, one_to_one="optimal", threshold=1.1, max_score=None, min_cosine=0.3, resume=None,
)  # fmt: skip
assert_type(bitext, lightmine.Bitext)
assert_type(bitext.cosine, NDArray[np.float32])
assert_type(lightmine.score_bitext(x, x, [(0, 1)], k=2, margin="ratio"), lightmine.Bitext)
again = lightmine.retrieve(lightmine.neighbors(x, x, both=True), margin="absolute", retrieval="forward")
assert_type(again, lightmine.Bitext)
assert_type(lightmine.__version__, str)

quality = evaluation.bitext_mining(bitext.left, bitext.right, bitext.score, [(0, 0)])
assert_type(quality, evaluation.MiningQuality)
assert_type(quality.f1, float)
assert_type(evaluation.retrieval_accuracy(x, x).mean, float)
assert_type(evaluation.similarity_correlation([0.1, 0.2], [1, 2]), evaluation.Correlation)
assert_type(evaluation.transitive_closure([(0, 1)]), NDArray[np.int64])

write_embeddings("x.npy", encoder, sentences)
open_embeddings("x.npy")
Cache("cache")

try:
    lightmine.unit_rows(x)
except (ArgumentError, BundleError) as error:
    caught: LightmineError = error
    raise SystemExit(str(caught)) from error
