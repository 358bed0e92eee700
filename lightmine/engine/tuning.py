"""Every number of the engine's Python side that changes how long mining takes, and never what it finds."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuning:
    """Settings of the engine; tests pass their own, users have no reason to.

    ``variant`` is the variant of the compiled kernel, None for the best that this processor runs.
    """

    variant: str | None = None

    # Tiles: left rows beside right rows that one task takes. The kernel's right side is cut into parts that
    # fit a cache by itself; a task is some milliseconds. NumPy's products are written out: 2 MB of them
    # stay in a cache.
    native_tile: tuple[int, int] = (512, 16_384)
    native_rows_most: int = 4096
    numpy_tile: tuple[int, int] = (512, 1024)
    # How often a tile may be halved, on both sides, before fewer workers are tried.
    tile_halvings: int = 4
    # Pairs, and rows of the smaller side, under which a product is over before rows would be compressed.
    small_pairs: int = 1 << 16
    small_side: int = 16
    # What NumPy holds for each score of a tile when all of them survive: the score, a flag, an index.
    bytes_per_score: int = 4 + 1 + 8
    # What selecting holds for each candidate at its peak, of a self join, where each is listed twice, and
    # of two lists (measured with all of them tied); and what is held where a threshold alone decides.
    bytes_per_candidate: tuple[int, int] = (250, 140)
    bytes_per_pair: int = 80
    # Candidates from which selecting starts, and those whose selection frees so much that the rest of the
    # process should have it back.
    select_every: int = 1 << 17
    trim_over: int = 1 << 18
    # Pairs that a worker of the kernel can hold between two calls, beside one tile's.
    found_capacity: int = 1 << 16

    # Compressed rows: rows that are rotated and quantized at a time, a multiple of 16; rows that the basis
    # and the scale are chosen by; shares of rows whose largest coordinate a scale may hold without
    # clipping; and how much smaller the errors have to be for a rotation, which costs d products a
    # coordinate.
    compressed_at_once: int = 1024
    sample_rows: int = 4096
    scale_rows: int = 512
    scale_quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
    rotation_gain: float = 0.85
    # Pairs for each coordinate from which a rotation is worth its time.
    rotation_pairs: float = 10.0
    # Shares of the components that may be multiplied instead of all of them, tried where a product is slow.
    component_shares: tuple[float, ...] = (0.125, 0.1875, 0.25, 0.375, 0.5, 0.75, 1.0)
    # Seconds of a product for each pair and component, and seconds for a pair that passes its bound: a
    # float32 score, and an exact one of some (measured: 25 to 60 ns).
    product_seconds: tuple[tuple[str, float], ...] = (
        ("amx", 0.4e-12), ("avx512-vnni", 2.6e-12), ("avx-vnni", 5e-12), ("avx2", 9e-12), ("neon-dotprod",
        5e-12),
    )  # fmt: skip
    survivor_seconds: float = 40e-9
    # Rows and columns of the sample that this is told by.
    component_sample: tuple[int, int] = (256, 2048)

    # The estimate of the lowest score in the answer: rows whose lists are made in full (at least so many,
    # and one in so many), pairs that the first sample should find, its most rows a side, listings that must
    # have been seen, and room for chance: pairs to expect for each that is needed, and how many standard
    # errors beside.
    estimate_rows: int = 256
    estimate_one_in: int = 50
    estimate_hits: int = 400
    estimate_largest_side: int = 4096
    estimate_least_seen: int = 16
    estimate_margin: float = 1.02
    estimate_errors: float = 2.0
    # Estimates that are tried before a job is mined without.
    estimates: int = 2
    # The share of the budget that rows' best scores may take, which raise bounds pair by pair.
    best_scores_share: float = 0.25

    # Checkpoints: seconds from one to the next, at least so many and so many times what the last one took.
    checkpoint_interval: float = 60.0
    checkpoint_patience: float = 100.0

    # Bytes of one side's rows that are checked, or scored exactly, at a time: they stay in a core's cache.
    chunk_bytes: int = 1 << 18
    # NumPy's survivors of a tile that are scored together.
    survivors_at_once: int = 1 << 13

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
