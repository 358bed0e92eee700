"""A corpus gives the answers of its embeddings, and is compressed once."""

import numpy as np
import pytest

from lightmine import Corpus, neighbors, unit_rows
from lightmine.engine import corpus as module
from lightmine.errors import ArgumentError, MatrixError
from tests.variants import needs_kernel


def rows(seed, n, d=48):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) + rng.integers(0, 3, (n, 1))


@pytest.mark.parametrize("kernel", ["auto", "numpy"])
@pytest.mark.parametrize("n", [1, 40, 300])
def test_a_corpus_gives_the_answers_of_its_embeddings(kernel, n):
    x, y = rows(0, n), rows(1, 700)
    corpus = Corpus(y)
    for k, both in ((1, False), (7, True), (2000, False)):
        assert neighbors(x, corpus, k=k, both=both, kernel=kernel) == neighbors(x, y, k=k, both=both)


@needs_kernel
def test_a_corpus_is_compressed_once(monkeypatch):
    made = []
    compress = module.compress_rows
    monkeypatch.setattr(module, "compress_rows", lambda *a, **k: made.append(len(a[0])) or compress(*a, **k))
    corpus = Corpus(rows(1, 500))
    for seed in range(3):
        neighbors(rows(seed, 200), corpus, k=3, kernel="native")
    assert made == [500]


def test_a_corpus_takes_unit_rows_without_a_copy():
    x = unit_rows(rows(2, 30))
    corpus = Corpus(x)
    assert corpus.rows is x
    assert (len(corpus), repr(corpus)) == (30, "Corpus(30 rows of 48 dimensions)")


def test_a_corpus_refuses_what_cannot_be_searched():
    with pytest.raises(MatrixError, match="row 1 is all zero"):
        Corpus([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ArgumentError, match="3 and 48 dimensions"):
        neighbors(np.eye(3), Corpus(rows(0, 5)))
    assert neighbors(np.eye(48), Corpus(np.empty((0, 48)))).index.shape == (48, 0)
