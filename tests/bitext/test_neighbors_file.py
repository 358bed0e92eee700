import numpy as np
import pytest

from lightmine import mine_bitext, neighbors, retrieve
from lightmine.bitext.neighbors_file import SavedNeighbors, load_neighbors, save_neighbors
from lightmine.errors import OutputError, TextError
from lightmine.text.unique import UniqueTexts


@pytest.fixture
def saved(rng):
    x, y = rng.standard_normal((7, 5)), rng.standard_normal((9, 5))
    odd = ["", "naïve", "a\tb\nc", "\u2028", "你好", "\x00", "\ud800"]
    source = UniqueTexts(odd, [[i + 1] for i in range(7)], [[f"s{i}"] for i in range(7)])
    target = UniqueTexts([str(j) for j in range(9)], [[j, j + 100] for j in range(1, 10)])
    return SavedNeighbors(neighbors(x, y, k=4, both=True), 3, 4, source, target), (x, y)


def test_what_was_saved_comes_back(saved, tmp_path):
    save_neighbors(str(tmp_path / "near.npz"), saved[0])
    back = load_neighbors(str(tmp_path / "near.npz"))
    assert (back.k, back.k_backward, back.source, back.target) == (3, 4, saved[0].source, saved[0].target)
    for ours, theirs in ((back.near, saved[0].near), (back.near.reverse, saved[0].near.reverse)):
        assert (ours.index.dtype, ours.score.dtype) == (np.int64, np.float32)
        assert np.array_equal(ours.index, theirs.index)
        assert np.array_equal(ours.score, theirs.score)


@pytest.mark.parametrize(
    "options", [dict(), dict(k=2, margin="distance"), dict(retrieval="intersect", threshold=1.0)]
)
def test_pairs_of_saved_neighbours_are_those_of_mining(saved, tmp_path, options):
    save_neighbors(str(tmp_path / "near.npz"), saved[0])
    near = load_neighbors(str(tmp_path / "near.npz")).near
    assert list(retrieve(near, **options)) == list(mine_bitext(*saved[1], **{"k": 4} | options))


def test_two_files_of_the_same_are_the_same_bytes(saved, tmp_path):
    for name in ("a.npz", "b.npz"):
        save_neighbors(str(tmp_path / name), saved[0])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_what_is_no_file_of_neighbours_is_refused_in_one_line(saved, tmp_path):
    path = tmp_path / "near.npz"
    save_neighbors(str(path), saved[0])
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)

    def message():
        with pytest.raises(TextError) as error:
            load_neighbors(str(path))
        assert "\n" not in str(error.value)
        assert str(error.value).startswith(f"{path}: ")
        return str(error.value)

    def altered(**changes):
        np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
        return message()

    path.write_bytes(b"")
    assert "no archive of arrays that can be read: File is not a zip file" in message()
    path.write_bytes(whole[:-300])
    assert "no archive of arrays that can be read" in message()
    middle = len(whole) // 2
    path.write_bytes(whole[:200] + bytes(50) + whole[250:middle] + whole[middle:])
    assert "no archive of arrays that can be read" in message()
    assert "it has no 'version'" in altered(version=None)
    assert "version 9, and this lightmine reads version 2" in altered(version=np.array([9, 1, 1]))
    assert "a source neighbour is not one of 9 rows" in altered(source_index=arrays["source_index"] + 9)
    assert "or its score is not finite" in altered(target_score=arrays["target_score"] * np.nan)
    assert "source neighbours are (7, 4) of float32" in altered(source_index=arrays["source_score"])
    assert "7 source rows have 7 texts and 6 lists of lines" in altered(
        source_line_counts=arrays["source_line_counts"][1:]
    )
    assert "source_text does not end where it should" in altered(source_text=arrays["source_text"][1:])
    path.unlink()
    assert "no such file" in message()
    path.mkdir()
    assert "is a directory" in message()


def test_neighbours_that_cannot_be_written_leave_nothing(saved, tmp_path):
    with pytest.raises(OutputError, match=r"gone/near\.npz: cannot be written"):
        save_neighbors(str(tmp_path / "gone/near.npz"), saved[0])
