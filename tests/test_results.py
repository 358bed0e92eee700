"""Pairs, Bitext and Neighbors index, compare, print and convert alike."""

import sys

import numpy as np
import pytest

from lightmine import Bitext, LightmineError, Neighbors, Pairs, mine_bitext, neighbors


def pairs(count=4):
    score = np.array([0.875, 0.75, 0.5, 0.25], np.float32)[:count]
    return Pairs(np.arange(count), np.arange(count) + 4, score)


def bitext():
    return Bitext(
        *(getattr(pairs(), name) for name in ("left", "right", "score")), np.full(4, 0.5, np.float32)
    )


def near():
    index, score = np.array([[1, 2], [0, 2], [0, 1]]), np.array([[0.5, 0.25]] * 3, np.float32)
    return Neighbors(index, score, Neighbors(index[:2], score[:2]))


@pytest.mark.parametrize("mined", [pairs(), bitext()], ids=["Pairs", "Bitext"])
def test_an_integer_gives_what_iteration_gives(mined):
    listed = list(mined)
    assert listed[0] == (0.875, 0, 4)
    for index in (0, 3, -1, -4, np.int64(2), np.uint8(2), np.array(1)):
        assert mined[index] == listed[int(index)]
        assert [type(part) for part in mined[index]] == [float, int, int]


def test_an_integer_gives_the_neighbours_of_a_row():
    assert near()[1] == near()[-2] == [(0.5, 1, 0), (0.25, 1, 2)]
    assert list(near()) == [near()[0], near()[1], near()[2]]
    assert len(near()) == 3


@pytest.mark.parametrize("mined", [pairs(), bitext(), near()], ids=["Pairs", "Bitext", "Neighbors"])
def test_an_index_out_of_range_is_refused(mined):
    for index in (len(mined), -len(mined) - 1, [0, len(mined)]):
        with pytest.raises(
            IndexError, match=r"is out of range: there are [34] rows, counted from 0"
        ) as raised:
            mined[index]
        assert isinstance(raised.value, LightmineError)


@pytest.mark.parametrize("mined", [pairs(), bitext(), near()], ids=["Pairs", "Bitext", "Neighbors"])
def test_slices_masks_and_row_numbers_give_the_same_type(mined):
    mask = np.arange(len(mined)) < 2
    for chosen in (slice(2), mask, mask.tolist(), np.array([0, 1]), [0, 1], np.array([0, 1], np.uint8)):
        some = mined[chosen]
        assert type(some) is type(mined)
        assert list(some) == list(mined)[:2]
    assert len(mined[[]]) == len(mined[:0]) == 0
    assert next(iter(mined[[-1]])) in (mined[-1], [(0.5, 0, 0), (0.25, 0, 1)])


@pytest.mark.parametrize("index", ["score", 1.0, None, (0, 1.5), [[0]], [0.5], True])
def test_what_is_no_index_is_refused(index):
    for mined in (pairs(), bitext(), near()):
        with pytest.raises(IndexError, match="a whole number, a slice, a mask or a list of row numbers"):
            mined[index]


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(IndexError, match="the mask has 2 entries and there are 4 rows; give one a row"):
        pairs()[[True, False]]


def test_rows_of_neighbors_leave_the_other_direction_out():
    assert near()[:3].reverse is None


@pytest.mark.parametrize("make", [pairs, bitext, near])
def test_equality_compares_contents(make):
    assert (make() == make()) is True
    assert (make() != make()) is False
    assert (make() == make()[:1]) is False
    assert (make() == 3) is False
    assert (make() == "pairs") is False


def test_equality_sees_each_column_and_the_type():
    assert bitext() != pairs()
    assert bitext() != Bitext(bitext().left, bitext().right, bitext().score, np.zeros(4, np.float32))
    assert near() != Neighbors(near().index, near().score)
    assert near() != Neighbors(near().index, near().score, near()[:1])
    assert Pairs(pairs().left, pairs().right, pairs().score * 2) != pairs()


@pytest.mark.parametrize("make", [pairs, bitext, near])
def test_results_are_not_hashable(make):
    with pytest.raises(TypeError, match="unhashable type"):
        hash(make())


def test_repr_is_short_and_says_what_there_is():
    assert repr(pairs()) == (
        "Pairs(4 pairs, scores 0.875 to 0.25: (0.875, 0, 4), (0.75, 1, 5), (0.5, 2, 6), ...)"
    )
    assert repr(bitext()).startswith("Bitext(4 pairs, scores 0.875 to 0.25: (0.875, 0, 4)")
    assert repr(pairs(1)) == "Pairs(1 pair, scores 0.875 to 0.875: (0.875, 0, 4))"
    assert repr(pairs(0)) == "Pairs(0 pairs)"
    assert repr(near()) == "Neighbors(3 rows, k=2, scores 0.5 to 0.25, reverse: 2 rows; row 0: 1, 2)"
    assert repr(near()[:0]) == "Neighbors(0 rows, k=2)"
    many = np.zeros(10**6, np.int64)
    assert len(repr(Pairs(many, many, np.zeros(10**6, np.float32)))) < 100


def test_to_dict_gives_python_numbers_by_column():
    assert pairs(2).to_dict() == {"left": [0, 1], "right": [4, 5], "score": [0.875, 0.75]}
    assert list(bitext().to_dict()) == ["left", "right", "score", "cosine"]
    assert near()[:1].to_dict() == {"left": [0, 0], "right": [1, 2], "score": [0.5, 0.25]}
    assert all(type(row) is int for row in near().to_dict()["left"])


def test_to_arrow_keeps_the_types():
    pyarrow = pytest.importorskip("pyarrow")
    for mined in (pairs(), bitext(), near(), neighbors([[1, 0], [0, 1]]), mine_bitext([[1, 0]], [[1, 0]])):
        table = mined.to_arrow()
        assert table.to_pydict() == mined.to_dict()
        assert table.schema.field("left").type == table.schema.field("right").type == pyarrow.int64()
        assert table.schema.field("score").type == pyarrow.float32()


def test_to_arrow_names_the_install_line_without_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"to_arrow needs pyarrow: pip install 'pyarrow>=18'"):
        pairs().to_arrow()


def test_results_of_a_mining_compare():
    x = [[1, 0], [0, 1], [3, 4]]
    assert neighbors(x, k=1) == neighbors(x, k=1)
    assert neighbors(x, k=1) != neighbors(x, k=2)
