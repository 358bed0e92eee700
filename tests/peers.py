"""How the peers mine, each written out plainly from what its published code does.

None of it shares anything with lightmine: dense float32 products, Python lists and loops. A result is a
list of (margin, source, target), in no particular order.

- LASER, ``source/mine_bitexts.py`` (commit 7fb053d)
- stopes, ``stopes/modules/bitext/mining/mine_bitext_indexes_utils.py`` and
  ``mine_bitext_sentences_utils.py`` (commits 48de10a, b3016ea)
- sentence-transformers, ``examples/.../parallel-sentence-mining/bitext_mining.py`` (6.x)
"""

import numpy as np


def nearest(similarity, k):
    """Per row, the columns of the k largest values, the largest first."""
    return [sorted(range(len(row)), key=lambda j, row=row: (-row[j], j))[:k] for row in similarity.tolist()]


def margins_of(similarity, lists, own_mean, other_mean, margin):
    """The margin of every row with every one of its neighbours."""
    ways = {"ratio": lambda a, b: a / b, "distance": lambda a, b: a - b, "absolute": lambda a, b: a}
    return [
        [
            float(ways[margin](similarity[i, j], (own_mean[i] + other_mean[j]) / np.float32(2)))
            for j in neighbours
        ]
        for i, neighbours in enumerate(lists)
    ]


def best_of_both(x, y, k, margin):
    """LASER's way to candidates: each sentence's neighbour of the best margin, the first of equals."""
    similarity = x.astype(np.float32) @ y.astype(np.float32).T
    forward, backward = nearest(similarity, k), nearest(similarity.T, k)
    forward_mean = [
        np.mean([similarity[i, j] for j in row], dtype=np.float32) for i, row in enumerate(forward)
    ]
    backward_mean = [
        np.mean([similarity[i, j] for i in row], dtype=np.float32) for j, row in enumerate(backward)
    ]
    ahead = margins_of(similarity, forward, forward_mean, backward_mean, margin)
    back = margins_of(similarity.T, backward, backward_mean, forward_mean, margin)
    to_target = [(max(row), forward[i][row.index(max(row))]) for i, row in enumerate(ahead)]
    to_source = [(max(row), backward[j][row.index(max(row))]) for j, row in enumerate(back)]
    return to_target, to_source


def one_to_one(candidates):
    """From the best down, whoever is still free."""
    used_source, used_target, pairs = set(), set(), []
    for score, i, j in sorted(candidates, key=lambda c: -c[0]):
        if i not in used_source and j not in used_target:
            used_source.add(i)
            used_target.add(j)
            pairs.append((score, i, j))
    return pairs


def laser(x, y, *, k=4, margin="ratio", retrieval="max", threshold=0.0):
    """``mine_bitexts.py --mode mine``: the threshold is looked at in one of the four retrievals."""
    to_target, to_source = best_of_both(x, y, k, margin)
    ahead = [(score, i, j) for i, (score, j) in enumerate(to_target)]
    back = [(score, i, j) for j, (score, i) in enumerate(to_source)]
    if retrieval == "forward":
        return ahead
    if retrieval == "backward":
        return back
    if retrieval == "intersect":
        return [(score, i, j) for score, i, j in ahead if to_source[j][1] == i]
    return [pair for pair in one_to_one(ahead + back) if pair[0] > threshold]


def sentence_transformers(x, y, *, k=4, threshold=1.0):
    """``bitext_mining.py`` with exact search."""
    to_target, to_source = best_of_both(x, y, k, "ratio")
    ahead = [(score, i, j) for i, (score, j) in enumerate(to_target)]
    back = [(score, i, j) for j, (score, i) in enumerate(to_source)]
    return one_to_one([pair for pair in ahead + back if not pair[0] < threshold])


def stopes(
    x, y, *, k=16, margin="ratio", retrieval="max", threshold=1.06, n_best=1, rank="cosine", score_max=1.25
):
    """``mine`` and then ``Alignments``: squared distances d = 2 - 2 cos, similarities 2 - d, exact search.

    `rank` "margin" is its ``sort_neighbors: true``, `retrieval` "max" its ``mine_type: union``, `n_best`
    its ``k_extract``.
    """
    x, y = x.astype(np.float32), y.astype(np.float32)
    distance = np.array([((a - y) ** 2).sum(axis=1) for a in x], np.float32)
    doubled = np.float32(2) - distance
    found = {}
    forward, backward = nearest(doubled, k), nearest(doubled.T, k)
    mean = [
        np.float32(2) - np.mean([distance[i, j] for j in row], dtype=np.float32)
        for i, row in enumerate(forward)
    ]
    other = [
        np.float32(2) - np.mean([distance[i, j] for i in row], dtype=np.float32)
        for j, row in enumerate(backward)
    ]
    sides = {
        "forward": (doubled, forward, mean, other),
        "backward": (doubled.T, backward, other, mean),
    }
    for side, (similarity, lists, own, others) in sides.items():
        if retrieval not in (side, "max"):
            continue
        for i, row in enumerate(margins_of(similarity, lists, own, others, margin)):
            order = range(len(row)) if rank == "cosine" else sorted(range(len(row)), key=lambda c: -row[c])
            for column in list(order)[:n_best]:
                if threshold <= row[column] <= score_max:
                    j = lists[i][column]
                    # Its last step writes a pair of texts once.
                    found[(i, j) if side == "forward" else (j, i)] = row[column]
    return [(score, i, j) for (i, j), score in found.items()]
