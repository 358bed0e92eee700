"""Exact mining over matrices of unit rows. Nothing here knows of text or of models.

How a pair is rejected or kept, from the first file to the last::

    array_input    what a caller passes as embeddings, as an array
    matrix         unit rows, checked once; the exact score of a pair
    spec           what the answer is: JoinSpec, Pairs, SelectedPairs
    tuning         every tuning constant, in one dataclass that is passed in
    job            how a join is run; from it and the spec to a plan
    tiling         a memory budget becomes tiles and workers; the answer does not depend on it
    estimate       an initial min_score from a sample of rows, checked against the answer later
    clustering     row orders that put similar rows together, and bounds from likely neighbors
    basis          an orthogonal basis, most of the norm in the first components, and its rotation
    quantization   compressed rows (rotated, with fewer components, in int8 or float32), and their errors
    matmul         the matrix products, and the check that this processor's int8 product is correct
    stages         how many components to multiply for which tile
    bounds         raw scores of a tile, and raw thresholds: a raw score under its threshold proves that the
                   exact score is under the limit. This one comparison rejects nearly every pair
    pool           threads that share tasks
    worker         one worker's tiles: bounds that get tighter (compressed, float32), then the exact score
    selection      candidates, limits that only rise, and the selection that raises them
    checkpoint     what a job has found so far, on disk, so that an interrupted job resumes
    join           SimilarityJoin: plans, estimates, mines, checks the estimate
    partners       how many partners each row has within limits
    counting       how many pairs are within limits, and how many of them a cap left out

docs/internals/engine.md has a drawing and the proofs.
"""
