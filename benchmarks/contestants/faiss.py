"""FAISS: exact search by inner product."""

import faiss
import numpy as np

VERSION = f"faiss-cpu {faiss.__version__}"


def neighbors(*, x, k):
    # One more than k: FAISS finds every row itself.
    def work():
        score, index = faiss.knn(x, x, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
        return {"index": index, "score": score}

    return work


def both_directions(*, x, y, k):
    def work():
        score, index = faiss.knn(x, y, k, metric=faiss.METRIC_INNER_PRODUCT)
        _, reverse = faiss.knn(y, x, k, metric=faiss.METRIC_INNER_PRODUCT)
        return {"index": index, "score": score, "reverse": reverse}

    return work


def paraphrase(*, x, threshold=None, top_k=None, max_pairs=None):
    if threshold is None or top_k is not None or max_pairs is not None:
        return None

    def work():
        flat = faiss.IndexFlatIP(x.shape[1])
        flat.add(x)
        limits, score, index = flat.range_search(x, threshold)
        left = np.repeat(np.arange(len(x)), np.diff(limits).astype(np.int64))
        upper = left < index
        return {"left": left[upper], "right": index[upper], "score": score[upper]}

    return work
