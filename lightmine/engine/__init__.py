"""The vector tower: exact mining over matrices of unit rows; it knows nothing of text or models.

How a pair is rejected or kept, each file one idea::

    matrix     unit rows, checked once; the one score of a pair
    sampling   a floor to begin with, guessed from a sample and checked
    orders     like rows together, and limits of their own from likely neighbours
    twins      a copy of the matrix that is cheap to multiply (turned, cut, quantised), with its error
    products   the matrix products, and the proof that this processor's int8 product is right
    ladder     how many coordinates to multiply for which tile
    kernels    raw scores of a tile, and cuts: a raw score under its cut proves the true score to be under
               the limit. Nearly every pair is rejected here, by one comparison of one integer
    tiles      a memory budget becomes tiles and workers; the answer does not depend on it
    pool       the workers
    topk       the rule that says what the answer is; limits that only rise; the selection that raises them
    miner      one worker's tile: bounds that tighten (twin, float32, the one score)
    checkpoint what a job has found so far, on disk: an interrupted one goes on from there
    join       all of it: plan, guess, mine, check
    neighbors  the join as k nearest neighbours
    partners   how many partners each row has within limits
    counting   how many pairs are within limits, and how many a cap left out

docs/internals/engine.md draws it and gives the proofs.
"""
