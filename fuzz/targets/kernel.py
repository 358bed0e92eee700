"""Calls of the compiled kernel: matrices, tiles and arrays that fit and that do not, beside NumPy."""

import numpy as np

from lightmine.engine import native
from lightmine.engine.matrix import PairScorer, unit_rows
from lightmine.engine.quantization import choose_params, compress_rows
from lightmine.engine.selection import Candidates
from lightmine.engine.spec import JoinSpec
from lightmine.engine.top_k import top_k
from lightmine.engine.tuning import Tuning
from lightmine.engine.worker import NativeJoin

TUNING = Tuning()
KINDS = (np.float32, np.float64, np.int32, np.int64, np.uint8, np.dtype(">f4"))


class Bytes:
    """Small numbers, one after the other; zeros when they are over."""

    def __init__(self, data):
        self._data, self._at = data, 0

    def below(self, most):
        self._at += 1
        return self._data[self._at - 1] % most if self._at <= len(self._data) else 0

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def matrix(self, rows, columns):
        """Rows of some numbers each, as the data has them."""
        numbers = [self.below(256) - 128 for _ in range(min(rows * columns, 40))] or [1]
        x = np.resize(np.array(numbers, np.float32), (rows, columns))
        x[:, 0] += np.where(x.any(axis=1), 0, 1)
        return unit_rows(x)

    def rarely(self):
        return self.below(32) == 31

    def spoiled(self, array):
        """Now and then an array of another type, size or layout."""
        if not self.rarely():
            return array
        choice = self.below(len(KINDS) + 2)
        if choice < len(KINDS):
            return np.nan_to_num(array).astype(KINDS[choice])
        return array[:-1] if choice == len(KINDS) else array[::2]

    def part(self, size, step):
        """Some of `size` rows from a multiple of `step` on; now and then others."""
        start = step * self.below(-(-size // step))
        stop = self.between(start + 1, size)
        return (
            slice(start + self.between(-40, 40), stop + self.between(-40, 40))
            if self.rarely()
            else slice(start, stop)
        )


def variant(numbers):
    kernel, _ = native.find_kernel()
    if kernel is None:
        return None
    can = kernel.library.lightmine_can
    names = [name for number, name in enumerate(native.VARIANTS) if can(number)]
    return native.Kernel(kernel.library, names[numbers.below(len(names))])


def select(kernel, numbers):
    count, k = numbers.between(1, 60), numbers.between(0, 5) if numbers.rarely() else numbers.between(1, 5)
    n = numbers.between(0, 9) if numbers.rarely() else 10
    rows, others = (
        np.array([numbers.below(10) for _ in range(count)], np.int32),
        np.arange(count, dtype=np.int32),
    )
    values = np.array([numbers.below(5) for _ in range(count)], np.float32)
    bounds = numbers.spoiled(np.zeros(n, np.float32))
    found = native.top_k(kernel, rows, numbers.spoiled(others), values, k, bounds, n)
    assert found.tolist() == top_k(rows, others, values, k).tolist()


def join(kernel, numbers):
    n, m, d = numbers.between(1, 70), numbers.between(1, 70), numbers.between(1, 130)
    x, y, k = numbers.matrix(n, d), numbers.matrix(m, d), numbers.below(4) or None
    params = choose_params(x, kernel.qmax, numbers.below(d + 1) or None, rotate=False, tuning=TUNING)
    sides = [compress_rows(side, params, kernel, workers=1, tuning=TUNING) for side in (x, y)]
    spec = JoinSpec(n, m, self_join=False, k_left=k, k_right=k, min_score=numbers.below(9) / 4 - 1)
    candidates = Candidates(spec, capacity=1 << 20, tuning=TUNING, kernel=kernel)
    one = NativeJoin(kernel, numbers.spoiled(x), y, *sides, candidates, best_scores=bool(numbers.below(2)))
    strip(one, numbers, PairScorer(x, y), numbers.part(n, 1), numbers.part(m, 32))


def strip(one, numbers, scorer, rows, columns):
    """Calls until the tile is done; what they give lies in the tile, and its scores are right."""
    library = one.kernel.library
    capacity = int(library.lightmine_tile_pairs()) * numbers.between(1, 3) - numbers.rarely()
    scratch = library.lightmine_scratch(max(rows.stop - rows.start, 0), one.width) - numbers.rarely()
    kinds = (np.int64, np.uint8, np.int32, np.int32, np.float32, np.int64)
    sizes = (1, max(scratch, 0), capacity, capacity, capacity, 3)
    arrays = [numbers.spoiled(np.zeros(size, kind)) for size, kind in zip(sizes, kinds, strict=True)]
    cursor, _, left, right, score, _ = arrays
    while True:
        count = one.strip(rows, columns, *arrays)
        assert (score[:count] == scorer.exact(left[:count], right[:count])).all()
        for found, part in ((left[:count], rows), (right[:count], columns)):
            assert count == 0 or part.start <= found.min() <= found.max() < part.stop
        if cursor[0] < 0:
            return


def scores(kernel, numbers):
    d = numbers.between(1, 70)
    x = numbers.matrix(numbers.between(1, 9), d)
    y = numbers.matrix(numbers.between(1, 9), numbers.between(1, 70) if numbers.rarely() else d)
    left, right = (
        np.array([numbers.below(len(rows)) - numbers.rarely() for _ in range(5)]) for rows in (x, y)
    )
    found = native.scores(kernel, numbers.spoiled(x), y, left, right)
    assert found.tobytes() == PairScorer(x, y).exact(left, right).tobytes()


def tile(kernel, numbers):
    width = 64 * numbers.between(1, 3) - numbers.rarely()
    m = 32 * numbers.between(0 if numbers.rarely() else 1, 3) - 16 * numbers.rarely()
    pattern = np.array([numbers.below(2 * kernel.qmax + 1) for _ in range(30)]) - kernel.qmax
    left, right = (np.resize(pattern, (rows, width)).astype(np.int8) for rows in (32, m))
    limits = numbers.spoiled(np.full(32, numbers.below(99) * 1000, np.int32))
    errors = np.full(m, numbers.below(99), np.int32)
    found = native.tile(kernel, numbers.spoiled(left), right, errors, limits)
    assert np.array_equal(found, left.astype(int) @ right.T.astype(int) + errors >= limits[:, None])


def one_input(data):
    numbers = Bytes(data)
    kernel = variant(numbers)
    if kernel is None:
        return
    try:
        (select, join, scores, tile)[numbers.below(4)](kernel, numbers)
    except (ValueError, IndexError) as error:
        said = str(error)
        assert said.isprintable(), repr(said)
