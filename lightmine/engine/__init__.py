"""Exact mining over matrices of unit rows. Nothing here knows of text or of models.

How a pair is rejected or kept, from the first file to the last::

    array_input    what a caller passes as embeddings, as an array
    matrix         unit rows, checked once; the exact score of a pair
    spec           what the answer is: JoinSpec, Pairs, SelectedPairs
    tuning         every tuning constant, in one dataclass that is passed in
    job            how a join is run; from it and the spec to a plan
    tiling         a memory budget becomes tiles and workers; the answer does not depend on it
    estimate       an initial min_score from a sample of rows, checked against the answer later
    components     how many components of a compressed row to multiply
    quantization   compressed rows (int8 components, and a bound of what they are wrong by)
    corpus         a matrix that is checked and compressed once for many joins
    native         the compiled kernel: which variant runs here, proven, and calls that check their arrays
    pool           threads that share tasks
    worker         one worker's tiles: upper bounds reject nearly every pair, the others are scored exactly
    top_k          the best k entries of each row, in NumPy
    selection      candidates, running bounds, and the selection that raises them
    checkpoint     what a job has found so far, on disk, so that an interrupted job resumes
    join           SimilarityJoin: plans, estimates, mines, checks the estimate
    partners       how many partners each row has within limits
    counting       how many pairs are within limits, and how many of them a cap left out

docs/internals/engine.md has a drawing and the proofs.
"""
