"""The vector tower: exact mining over matrices of unit rows; it knows nothing of text or models.

How a pair is rejected or kept::

    matrix     unit rows, checked once ───────────────────────────────────────────┐
    tiles      a memory budget becomes tiles and workers; the answer does not      │
               depend on it                                                        │
    kernels    a cheap score for every pair of a tile, and a proven error bound:   │
               a raw score under its cut proves the true score under the limit ─ rejected, nearly always
    matrix     exact_scores: the one score of each pair that is left  ◄────────────┘
    topk       limits that only rise, and the selection that raises them ─────── rejected, or kept
    neighbors  the join that runs all this, and k nearest neighbours
"""
