"""Every tuning constant of the engine, with its reason. None of them changes an answer, only time and memory.

Numbers that the proofs of the error bounds rely on are not here: they stand beside their proofs in
`lightmine.engine.quantization`, `lightmine.engine.matmul` and `lightmine.engine.matrix`.
"""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuning:
    """Sizes, shares and times that the engine works with; passed in as `Job.tuning`.

    Examples
    --------
    >>> Tuning(tile_rows=32).tile_rows, Tuning().tile_rows
    (32, 512)
    """

    # Tiles of 2 MB of scores. Five shapes, 256 to 1,024 rows by 512 to 2,048 columns, were measured on two
    # cores with 1 MB of second-level cache each: the larger ones were about 10 % faster than the smaller.
    tile_rows: int = 512
    tile_columns: int = 1024
    # Sizes of tile that are worth a worker: each has half the rows and half the columns of the one before.
    tile_shrinks: int = 4
    # Row blocks that are multiplied by the same columns one after the other, while these are in a cache.
    band: int = 4
    # What a worker holds for each score of a tile if every one of them survives: the score, two flags and a
    # flat index. (The index twice if the tile takes another stage: the room for candidates, not used yet,
    # covers that.)
    bytes_per_score: int = 4 + 1 + 1 + 8
    # What the selection holds for each candidate at its peak, if all of them are tied. Measured: 222 bytes
    # within one collection, where each is listed twice, and 105 between two; the pair itself takes 12.
    bytes_per_candidate_self_join: int = 250
    bytes_per_candidate: int = 140
    # The same if only a threshold limits the answer: there is no selection, only a sort.
    bytes_per_pair: int = 80

    # A tile with a smaller share of hits is finished pair by pair; with a larger one, all its scores are
    # compared with the bounds of their rows first. A hit costs about 100 times what a comparison does.
    few_hits: float = 1 / 100
    # A tile with a larger share of hits takes another stage: that costs less than its survivors would.
    many_hits: float = 1 / 150
    # Survivors of a tile that are scored together.
    survivors_at_once: int = 1 << 13

    # With fewer pairs than this, a float32 product of everything takes less time than compression does.
    small_pairs: int = 1 << 23
    # Estimates of min_score that are tried before a job is mined without one.
    estimates: int = 2

    # Row clustering: centroids, the rows that they are means of, rounds of k-means, rows multiplied at once.
    centroids: int = 256
    centroid_rows: int = 8192
    centroid_rounds: int = 3
    centroid_block: int = 1024
    # Likely neighbors that every row is first compared with, if rows have bounds of their own.
    warm_start_columns: int = 1536
    # Blocks of rows that are tried first. The others follow if a larger share than this of the tried rows
    # got a bound over min_score.
    warm_start_trials: int = 8
    warm_start_share: float = 0.05
    # Groups of rows with similar bounds, each clustered by itself.
    bound_groups: int = 10

    # Rows whose complete lists stand for the lists of all rows: at least this many, and one row in this many
    # of a large collection.
    estimate_rows: int = 256
    estimate_one_in: int = 400
    # Pairs that a sample should find over the score from which lists are made, and its most rows per side.
    estimate_hits: int = 400
    estimate_largest_side: int = 4096
    # List entries that must have been seen before an estimate relies on them.
    estimate_least_seen: int = 16
    # Safety margin: pairs to expect for each pair that is needed, and standard errors added to that.
    estimate_margin: float = 1.05
    estimate_errors: float = 2.0

    # Numbers of components to choose from, in 24ths of the dimension, and the most that all stages of a join
    # may have together, as a share of the dimension.
    stage_shares: tuple[int, ...] = (3, 4, 6, 8, 10, 12, 16, 20, 24)
    max_stages: float = 1.5
    # Rows and columns of each tile that are sampled to choose its stage.
    stage_sample: tuple[int, int] = (8, 32)
    # Index, bound and float32 score of one survivor, in seconds (measured: 0.2 to 0.35 microseconds).
    survivor_seconds: float = 0.3e-6
    # Making one component of one compressed row. Rotation takes as much again for each 200 dimensions.
    compress_seconds: float = 3e-9
    # Seconds of a product for each pair: a fixed part, and a part per component. None: measured.
    product_seconds: tuple[float, float] | None = None

    # Rows that the basis is computed from, and rows that the scale is chosen from. Any orthogonal basis and
    # any scale is correct; good ones reject more pairs.
    basis_rows: int = 4096
    scale_rows: int = 1024
    # Rows that are rotated and quantized at a time.
    compress_block: int = 1024
    # The most int8 columns that may share the norm of what a row leaves out. At least 2 are needed.
    max_residual_columns: int = 10
    # How much larger a scale is tried if some row does not fit.
    scale_step: float = 1.15

    # The largest int8 magnitude to use. "measure": what this processor multiplies correctly; None: no int8.
    qmax: int | Literal["measure"] | None = "measure"
    # How many times faster than float32 the int8 product is. None: measured.
    int8_speedup: float | None = None
    # With less speedup than this, int8 is not worth its error.
    min_speedup: float = 1.5

    # Bytes of one side's rows that are checked, or scored exactly, at a time: they stay in a core's cache.
    chunk_bytes: int = 1 << 18

    # New candidates after which a selection pays, at least.
    select_every: int = 1 << 17
    # Candidates whose selection takes and frees so much memory that the process should have it back.
    trim_over: int = 1 << 18

    # Seconds between two checkpoints: at least this many, and this many times what the last one took.
    checkpoint_interval: float = 60.0
    checkpoint_patience: float = 100.0

    # Products of two coordinates that are spent on counting what a cap left out: some seconds of one thread.
    # More than that is estimated from a sample of rows, of at least this many.
    count_products: float = 5e10
    count_rows: int = 100
    # Counting: the largest and the smallest tile, the most bytes that a pair of a tile takes, and the bytes
    # of one worker's scorer.
    count_largest_tile: tuple[int, int] = (256, 4096)
    count_smallest_tile: tuple[int, int] = (16, 16)
    count_bytes_per_pair: int = 32
    count_scorer_bytes: int = 4 << 20


DEFAULT_TUNING = Tuning()
