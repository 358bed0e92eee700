"""The boundary of the compiled kernel: a call that would read or write elsewhere is refused before."""

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import unit_rows
from lightmine.engine import native, quantization, selection
from lightmine.engine.matrix import PairScorer
from lightmine.engine.quantization import CompressedRows, choose_params, compress_rows
from lightmine.engine.selection import Candidates
from lightmine.engine.spec import JoinSpec
from lightmine.engine.worker import NativeJoin
from tests import variants
from tests.oracle import dense
from tests.rows import KINDS, adversarial
from tests.variants import KERNEL, SMALL, VARIANTS, needs_kernel

pytestmark = needs_kernel


def compressed(x, name, params=None):
    params = params or choose_params(x, variants.kernel(name).qmax, rotate=False, tuning=SMALL)
    return compress_rows(x, params, variants.kernel(name), workers=1, tuning=SMALL)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_tile_agrees_with_integer_arithmetic(name):
    kernel = variants.kernel(name)
    assert native.is_right(kernel)
    rng = np.random.default_rng(1)
    for width in (64, 128, 448):
        for m in (32, 64, 1024):
            left, right = (
                rng.integers(-kernel.qmax, kernel.qmax + 1, (rows, width)).astype(np.int8) for rows in (32, m)
            )
            errors, own, row_limits, column_limits = (
                rng.integers(-bound, bound, size).astype(np.int32)
                for bound, size in ((1 << 29, m), (1 << 20, 32), (1 << 28, 32), (1 << 28, m))
            )
            bounds = left.astype(np.int64) @ right.T.astype(np.int64) + errors
            found = native.tile(kernel, left, right, errors, row_limits)
            assert np.array_equal(found, bounds >= row_limits[:, None])
            found = native.tile(kernel, left, right, errors, row_limits, own, column_limits)
            least = np.minimum(row_limits[:, None], column_limits - own.astype(np.int64)[:, None])
            assert np.array_equal(found, bounds >= least)


class Rounded(native.Kernel):
    """A variant that is trusted with larger components than it multiplies rightly."""

    @property
    def qmax(self):
        return 127


@pytest.mark.parametrize("name", VARIANTS)
def test_a_product_that_overflows_is_found_out(name):
    # AVX2 adds two products in int16, the others in int32.
    assert native.is_right(Rounded(KERNEL.library, name)) == (name != "avx2")


class Broken:
    """A library of which one column of one tile is wrong."""

    def __init__(self, library, wrong):
        self._library, self._wrong = library, wrong

    def __getattr__(self, name):
        return getattr(self._library, name)

    def lightmine_can(self, number):
        return number in self._wrong or number == native.VARIANTS.index("portable")

    def lightmine_tile(self, number, *arguments):
        count = self._library.lightmine_tile(native.VARIANTS.index("portable"), *arguments)
        return count - 1 if number in self._wrong else count


def test_a_variant_that_is_wrong_here_is_not_used_and_named(monkeypatch):
    wrong = Broken(KERNEL.library, {native.VARIANTS.index(name) for name in ("amx", "avx2")})
    monkeypatch.setattr(native, "load", lambda path: wrong)
    found, reason = native.find_kernel.__wrapped__(native.LIBRARY)
    assert found is None
    assert reason == (
        "no variant of the compiled kernel suits this processor; amx is wrong here; avx2 is wrong here"
    )
    right = Broken(KERNEL.library, {native.VARIANTS.index("amx")})
    right.lightmine_can = lambda number: True
    monkeypatch.setattr(native, "load", lambda path: right)
    found, reason = native.find_kernel.__wrapped__(native.LIBRARY)
    assert (found.name, reason) == ("avx512-vnni", "avx512-vnni; amx is wrong here")


def test_a_library_that_is_not_there_or_none_or_another_is_said(tmp_path, monkeypatch):
    assert native.find_kernel(tmp_path / "none.so") == (None, "this installation has no compiled kernel")
    (tmp_path / "text.so").write_text("no library")
    kernel, reason = native.find_kernel(tmp_path / "text.so")
    assert kernel is None
    assert reason.startswith("the compiled kernel cannot be loaded: ")
    monkeypatch.setattr(native, "ABI_VERSION", -1)
    kernel, reason = native.find_kernel.__wrapped__(native.LIBRARY)
    native.load.cache_clear()
    with pytest.raises(OSError, match=r"was built from another version of native/kernel\.c"):
        native.load(native.LIBRARY)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32),
    d=st.integers(1, 70) | st.sampled_from([384, 1000]),
)
def test_scores_and_norms_are_those_of_the_documented_order(name, kind, seed, d):
    rng = np.random.default_rng(seed)
    x, y = adversarial(kind, rng, 9, d), adversarial("normal", rng, 7, d)
    y[0] = -x[0]
    left, right = np.divmod(np.arange(63), 7)
    found = native.scores(variants.kernel(name), x, y, left, right)
    assert found.tobytes() == dense(x, y).ravel().tobytes()
    wide = np.zeros((9, -(-d // 32) * 32))
    wide[:, :d] = x.astype(np.float64) ** 2
    lanes = np.zeros((9, 32))
    for start in range(0, wide.shape[1], 32):
        lanes += wide[:, start : start + 32]
    for half in (16, 8, 4, 2, 1):
        lanes = lanes[:, :half] + lanes[:, half:]
    assert native.norms(variants.kernel(name), x).tobytes() == np.sqrt(lanes[:, 0]).tobytes()


entries = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 40), st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0])),
    min_size=1, max_size=80, unique_by=lambda entry: entry[:2],
)  # fmt: skip


@given(entries, st.integers(1, 12))
def test_selection_is_that_of_numpy(found, k):
    rows, others = (np.array([entry[at] for entry in found], np.int32) for at in (0, 1))
    values = np.array([entry[2] for entry in found], np.float32)
    bounds, own = (np.full(10, -np.inf, np.float32) for _ in range(2))
    mask = native.top_k(KERNEL, rows, others, values, k, bounds, 10)
    assert mask.tolist() == selection.top_k(rows, others, values, k, own).tolist()
    assert bounds.tolist() == own.tolist()
    assert native.top_k(KERNEL, rows, others, values, k, None, 10).tolist() == mask.tolist()
    numbers = selection.descending(values)
    order = native.order(KERNEL, numbers, rows.view(np.uint32), others.view(np.uint32))
    assert order.tolist() == np.lexsort((others, rows, -values)).tolist()


def test_no_pairs_have_an_order():
    none = np.empty(0, np.uint32)
    assert native.order(KERNEL, none, none, none).size == 0
    with pytest.raises(ValueError, match="2 contiguous numbers of uint32 are needed"):
        native.order(KERNEL, np.zeros(2, np.uint32), none, np.zeros(2, np.uint32))


def test_arrays_of_another_type_layout_or_size_are_refused():
    good = np.zeros((4, 6), np.float32)
    assert native.pointer(good, np.float32, 24) == good.ctypes.data
    unaligned = np.zeros(97, np.uint8)[1:].view(np.float32)
    read_only = good.copy()
    read_only.flags.writeable = False
    for array in (
        good.astype(np.float64), good.astype(">f4"), good.view(np.int32), good.T, good[:, 1:], good[::2],
        good[:3], np.empty(0, np.float32), unaligned,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="24 contiguous numbers of float32 are needed"):
            native.pointer(array, np.float32, 24)
    assert native.pointer(read_only, np.float32, 24)
    with pytest.raises(ValueError, match="the array is read-only"):
        native.pointer(read_only, np.float32, 24, writable=True)


def test_pairs_of_rows_that_are_not_there_are_refused(rng):
    x = unit_rows(rng.standard_normal((5, 8)))
    at = np.arange(5)
    for left, right in (([5], [0]), ([-1], [0]), ([0], [5]), ([0], [2**40])):
        with pytest.raises(IndexError, match="names a row that is not there"):
            native.scores(KERNEL, x, x, np.array(left), np.array(right))
    for others, right in ((x[:, :7].copy(), at), (x, at[:4]), (x.T, at[:4]), (x.astype(np.float64), at)):
        with pytest.raises(ValueError, match="are needed"):
            native.scores(KERNEL, x, others, at, right)
    with pytest.raises(ValueError, match="are needed"):
        native.norms(KERNEL, x[:, ::2])


@pytest.mark.parametrize("change", ["rows", "negative", "k", "others", "values"])
def test_entries_of_rows_that_are_not_there_are_refused(change):
    rows, others, values, k = np.array([0, 1, 2], np.int32), np.arange(3), np.zeros(3, np.float32), 1
    if change == "rows":
        rows[1] = 3
    elif change == "negative":
        rows[1] = -1
    elif change == "k":
        k = 0
    elif change == "others":
        others = others[:2]
    else:
        values = values[:2]
    with pytest.raises(ValueError, match="entries name rows that are not there"):
        native.top_k(KERNEL, rows, others, values, k, None, 3)


def test_bounds_that_cannot_be_raised_are_refused():
    rows, values = np.zeros(3, np.int32), np.zeros(3, np.float32)
    bounds = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match="2 contiguous numbers"):
        native.top_k(KERNEL, rows, np.arange(3), values, 1, bounds, 2)
    bounds.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        native.top_k(KERNEL, rows, np.arange(3), values, 1, bounds, 1)


def test_rows_beyond_the_compressed_ones_are_refused(rng):
    x = unit_rows(rng.standard_normal((40, 20)))
    out = compressed(x, KERNEL.name)
    native.quantize(KERNEL, x[:32], 32, out, quantization.MAX_NORM)
    for block, first in ((x, 32), (x[:16], 64), (x[:16], -16), (x[:16], 8), (x[:16, :19].copy(), 0)):
        with pytest.raises(ValueError, match="the block does not fit the compressed rows"):
            native.quantize(KERNEL, block, first, out, quantization.MAX_NORM)
    large = CompressedRows(
        dataclasses.replace(out.params, qmax=128), out.panels, out.errors, out.sums, out.rows
    )
    with pytest.raises(ValueError, match="does not fit"):
        native.quantize(KERNEL, x[:16], 0, large, quantization.MAX_NORM)
    for name, small in (
        ("panels", out.panels[:-1]),
        ("sums", out.sums[:-1]),
        ("sums", out.sums.view(np.uint32)),
    ):
        with pytest.raises(ValueError, match="contiguous numbers"):
            native.quantize(KERNEL, x[:16], 0, dataclasses.replace(out, **{name: small}), 1.0)


def test_tiles_of_other_sizes_are_refused():
    left, right, errors = np.zeros((32, 64), np.int8), np.zeros((32, 64), np.int8), np.zeros(32, np.int32)
    assert native.tile(KERNEL, left, right, errors, errors).all()
    for one, other in ((left, right[:16]), (left[:, :32].copy(), right[:, :32].copy()), (left, right[:0])):
        with pytest.raises(ValueError, match="a tile has whole pairs of panels"):
            native.tile(KERNEL, one, other, errors, errors)
    for one, limits in ((left[:31], errors), (left, errors[:31]), (left, errors.astype(np.int64))):
        with pytest.raises(ValueError, match="contiguous numbers"):
            native.tile(KERNEL, one, right, errors, limits)


class Strip:
    """A join of 70 rows with 50, and what a call of the kernel takes."""

    def __init__(self, rng, k=3, **spec):
        self.x, self.y = (unit_rows(rng.standard_normal((rows, 20))) for rows in (70, 50))
        params = choose_params(self.x, KERNEL.qmax, rotate=False, tuning=SMALL)
        self.left, self.right = (compressed(side, KERNEL.name, params) for side in (self.x, self.y))
        self.spec = JoinSpec(70, 50, self_join=False, k_left=k, k_right=k, **spec)
        library = KERNEL.library
        capacity = 2 * library.lightmine_tile_pairs()
        self.rows, self.columns, self.cursor = slice(0, 64), slice(0, 50), np.zeros(1, np.int64)
        self.scratch = np.zeros(library.lightmine_scratch(64, params.width), np.uint8)
        self.out = [np.empty(capacity, kind) for kind in (np.int32, np.int32, np.float32)]
        self.counts = np.zeros(3, np.int64)

    def join(self, **changes):
        candidates = Candidates(self.spec, capacity=1 << 20, tuning=SMALL)
        arguments = (
            dict(x=self.x, y=self.y, left=self.left, right=self.right, candidates=candidates) | changes
        )
        return NativeJoin(KERNEL, **arguments, best_scores=True)

    def call(self, **changes):
        self.cursor[0] = 0
        names = ("rows", "columns", "cursor", "scratch")
        arguments = {name: getattr(self, name) for name in names} | {"counts": self.counts}
        arguments |= dict(zip(("left", "right", "score"), self.out, strict=True)) | changes
        return self.join().strip(**arguments)


def test_a_strip_gives_the_pairs_of_its_tile_and_counts_them(rng):
    strip = Strip(rng)
    strip.spec = JoinSpec(70, 50, self_join=False, min_score=0.2)
    count = strip.call(rows=slice(3, 64), columns=slice(32, 50))
    assert strip.cursor[0] == -1
    expected = np.argwhere(dense(strip.x, strip.y)[3:64, 32:] >= np.float32(0.2)) + np.array([3, 32])
    found = np.stack([side[:count] for side in strip.out[:2]], axis=1)
    assert sorted(found.tolist()) == expected.tolist()
    proposed, rough, exact = strip.counts.tolist()
    assert 61 * 18 > proposed >= rough >= exact == count


def test_calls_outside_the_join_are_refused(rng):
    strip = Strip(rng)
    assert strip.call() > 0
    for changes in (
        dict(rows=slice(0, 71)), dict(rows=slice(-1, 5)), dict(rows=slice(5, 5)), dict(rows=slice(64, 60)),
        dict(columns=slice(0, 51)), dict(columns=slice(-32, 5)), dict(columns=slice(16, 50)),
        dict(columns=slice(1, 50)), dict(cursor=np.full(1, -1)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="the tile is not one of this join"):
            strip.call(**changes)
    with pytest.raises(ValueError, match="the pairs of one tile may not fit"):
        strip.call(left=strip.out[0][: len(strip.out[0]) // 2 - 1])
    read_only = strip.out[0].copy()
    read_only.flags.writeable = False
    for changes in (
        dict(rows=slice(0, 65), scratch=strip.scratch), dict(cursor=np.zeros(1, np.int32)),
        dict(counts=np.zeros(2, np.int64)), dict(left=strip.out[0].astype(np.int64)), dict(left=read_only),
        dict(score=strip.out[2][::-1]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"contiguous numbers|read-only"):
            strip.call(**changes)


def test_arrays_that_do_not_belong_together_make_no_join(rng):
    strip = Strip(rng)
    params = dataclasses.replace(strip.left.params)
    outside = strip.left.rows.copy()
    outside[3] = 70
    for changes in (
        dict(left=dataclasses.replace(strip.left, params=params)),
        dict(left=dataclasses.replace(strip.left, rows=outside)),
        dict(left=dataclasses.replace(strip.left, rows=-outside)),
        dict(left=strip.right),
    ):
        with pytest.raises(ValueError, match="compressed rows are of another matrix"):
            strip.join(**changes)
    for changes in (
        dict(x=strip.x.astype(np.float64)), dict(x=strip.x[:, ::-1]), dict(y=strip.y[:, :19].copy()),
        dict(left=dataclasses.replace(strip.left, panels=strip.left.panels[:-1])),
        dict(left=dataclasses.replace(strip.left, errors=strip.left.errors.astype(np.int64))),
        dict(right=dataclasses.replace(strip.right, sums=strip.right.sums[:-1])),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="contiguous numbers"):
            strip.join(**changes)
    wrong = Candidates(dataclasses.replace(strip.spec, n=60), capacity=100, tuning=SMALL)
    with pytest.raises(ValueError, match="contiguous numbers"):
        strip.join(candidates=wrong)
    spec = JoinSpec(70, 70, self_join=True, k_left=2, k_right=2)
    with pytest.raises(ValueError, match="has one number of rows"):
        strip.join(candidates=Candidates(spec, capacity=100, tuning=SMALL))


def test_a_scorer_gives_the_bytes_of_the_kernel(rng):
    x = unit_rows(rng.standard_normal((20, 33)))
    left, right = np.divmod(np.arange(400), 20)
    found = native.scores(KERNEL, x, x, left, right)
    assert found.tobytes() == PairScorer(x, x).exact(left, right).tobytes()
