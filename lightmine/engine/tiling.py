"""From a memory budget and a number of workers to tiles of the pair matrix.

The answer never depends on the plan: tiles only decide which pairs are looked at together.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from lightmine.engine.tuning import DEFAULT_TUNING, Tuning
from lightmine.errors import ArgumentError, BudgetError

UNITS = {"": 1, "B": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("KMGT", start=1)
    for suffix, base in (("", 1024), ("iB", 1024), ("B", 1000))
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tiles of an n x m pair matrix, the workers that share them, and what they may keep.

    ``self_join`` keeps the tiles that hold a pair with left < right, for a collection against itself.
    ``candidates`` is how many proposed pairs the budget can hold beside the tiles, ``native`` whether they
    are mined by the compiled kernel, ``best_scores`` whether that keeps the best scores of each row.
    ``band`` is how many row blocks follow each other.
    """

    n: int
    m: int
    self_join: bool
    rows: int
    columns: int
    workers: int
    candidates: int
    native: bool = False
    best_scores: bool = False
    band: int = 4

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """Every tile once, in bands of some row blocks, each band from left to right.

        Within a band the same columns come back while they are still in a cache.

        Examples
        --------
        >>> plan = Plan(n=5, m=5, self_join=True, rows=2, columns=3, workers=1, candidates=100)
        >>> [(r.start, r.stop, c.start, c.stop) for r, c in plan.tiles()]
        [(0, 2, 0, 3), (0, 2, 3, 5), (2, 4, 3, 5)]
        """
        band = self.band * self.rows
        for first in range(0, self.n, band):
            for start in range(0, self.m, self.columns):
                columns = slice(start, min(start + self.columns, self.m))
                for top in range(first, min(first + band, self.n), self.rows):
                    # Of one collection, only tiles that hold a pair with its left row before its right.
                    if not self.self_join or top + 1 < columns.stop:
                        yield slice(top, min(top + self.rows, self.n)), columns

    @property
    def size(self) -> int:
        """The most scores that a tile holds."""
        return min(self.rows, self.n) * min(self.columns, self.m)

    def pairs(self) -> int:
        """How many scores the tiles hold in all: the unit of progress."""
        return sum((r.stop - r.start) * (c.stop - c.start) for r, c in self.tiles())


def plan_tiles(
    n: int,
    m: int,
    *,
    self_join: bool,
    budget: int,
    workers: int,
    kept: int,
    fixed: int,
    per_worker: int,
    native: bool = False,
    rows: int | None = None,
    tuning: Tuning = DEFAULT_TUNING,
) -> Plan:
    """Choose tile shape and candidate capacity for a budget, or refuse with the figure that would do.

    Parameters
    ----------
    n, m : int
        Rows of the two sides.
    self_join : bool
        Whether one collection is joined with itself.
    budget : int
        Bytes that may be allocated.
    workers : int
        Tiles that are held at one time.
    kept : int
        The most candidates that selection can ever have to keep; 0 where nothing but a threshold limits them.
    fixed, per_worker : int
        Bytes that the kernel needs once, and for each worker.
    native : bool
        Whether the compiled kernel mines: its tiles are larger, and none of their scores is written.
    rows : int, optional
        Rows of a tile, if not those of the tuning.
    tuning : Tuning

    Raises
    ------
    BudgetError
        Even the smallest tiles do not fit; the message says what would.

    Examples
    --------
    >>> plan = plan_tiles(
    ...     1000, 1000, self_join=True, budget=2**29, workers=2, kept=5000, fixed=0, per_worker=0
    ... )
    >>> plan.rows, plan.columns, plan.size
    (512, 1024, 512000)
    """
    each = tuning.bytes_per_candidate[not self_join]
    for shrink, most in _smaller_and_smaller(workers, tuning.tile_halvings, long=native):
        size = tuning.native_tile if native else tuning.numpy_tile
        height, columns = (max(1, side >> shrink) for side in (rows or size[0], size[1]))
        if native:
            # Right rows are read in pairs of panels, 32 rows.
            columns = max(32, columns // 32 * 32)
        tile = min(n, height) * min(m, columns)
        workers = max(1, min(most, -(-n // height) * -(-m // columns)))
        working = fixed + workers * (per_worker + (0 if native else tile * tuning.bytes_per_score))
        # Room for what is kept, and for as much again or a tile of each worker, not selected from yet.
        least = kept + max(0 if native else workers * tile, 4096)
        if working + least * each <= budget:
            spare = budget - working
            candidates = (
                min(spare // each, max(least, 3 * kept, 1 << 20)) if kept else spare // tuning.bytes_per_pair
            )
            return Plan(n, m, self_join, height, columns, workers, candidates, native)
    need = working + least * each
    raise BudgetError(
        f"this job needs a memory_budget of {format_bytes(need)} at the least, not {format_bytes(budget)}; "
        "raise it, or ask for fewer pairs (a smaller top_k or k, or a smaller max_pairs)"
    )


def _smaller_and_smaller(workers: int, shrinks: int, *, long: bool) -> Iterator[tuple[int, int]]:
    """How often to halve a tile's sides, and how many workers: first smaller tiles, then fewer workers.

    Tiles so small that starting a product costs more than the product come last, and not with the kernel.
    Still smaller tiles would save less than the rest of a job takes.
    """
    yield from ((shrink, workers) for shrink in range(shrinks))
    while workers > 1:
        workers //= 2
        yield shrinks - 1, workers
    if not long:
        yield shrinks, 1


def parse_bytes(size: int | str) -> int:
    """Read a size: bytes, or a number with KiB, MiB, GiB, TiB (or kB, MB, GB, TB of 1000).

    Examples
    --------
    >>> parse_bytes("1GiB"), parse_bytes("1.5 MB"), parse_bytes(4096)
    (1073741824, 1500000, 4096)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGTkmgt]?(?:[iI]?[bB])?)\s*", str(size))
    unit = match and match[2].upper().replace("I", "i")
    if not match or unit not in UNITS or isinstance(size, bool):
        raise ArgumentError(f"memory_budget: {size!r} is not a size; write bytes, or '512MiB', '1GiB'")
    return int(float(match[1]) * UNITS[unit])


def format_bytes(size: int) -> str:
    """A size for people, rounded up so that asking for it suffices.

    Examples
    --------
    >>> format_bytes(1073741824), format_bytes(1536)
    ('1024MiB', '1MiB')
    """
    return f"{max(1, -(-size // (1 << 20)))}MiB"
