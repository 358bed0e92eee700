"""Arrays from untrusted files."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from lightmine.errors import TextError
from lightmine.untrusted.arrays import MAX_MEMBERS, SMALL_ARCHIVE, read_archive, read_array

ANY = arrays_of.arrays(
    st.sampled_from(["<f4", ">f8", "<f2", "i1", "<i8", "u1", "?", "<c8"]),
    arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def header(shape, descr="'<f4'", fortran="False"):
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def refusal(read, path):
    with pytest.raises(TextError) as error:
        read(str(path))
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


def said_by(read, path):
    try:
        read(str(path))
    except TextError as error:
        return str(error)
    return None


@given(ANY, st.booleans())
def test_every_array_comes_back_as_numpy_reads_it(tmp_path_factory, array, fortran):
    array = np.asfortranarray(array) if fortran else array
    path = tmp_path_factory.getbasetemp() / "x.npy"
    path.write_bytes(npy(array))
    found, expected = read_array(str(path)), np.load(path, allow_pickle=False)
    assert (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    packed = path.with_suffix(".npz")
    np.savez_compressed(packed, a=array, b=array)
    assert [part.tobytes() for part in read_archive(str(packed)).values()] == [expected.tobytes()] * 2


@pytest.mark.parametrize(("data", "message"), [
    (header("(1099511627776, 1024)") + bytes(64), "it claims 4,503,599,627,370,496 bytes and has 64"),
    (header("(-1, -16)") + bytes(64), "its shape is (-1, -16)"),
    (header("(4, 2.0)") + bytes(64), "no array that can be read: "),
    (header("(" + "1, " * 40 + ")") + bytes(64), "its shape is (1, "),
    (header("(4,)", descr="'|O'") + bytes(64), "it is of object, and arrays of numbers are read"),
    (header("(4,)", descr="[('a', '<f4')]") + bytes(64), "and arrays of numbers are read"),
    (header("(4,)", descr="'<U99999999'") + bytes(64), "and arrays of numbers are read"),
    (header("__import__('os').system('true')") + bytes(64), "no array that can be read: "),
    (header("(" * 200 + ")" * 200) + bytes(64), "no array that can be read: "),
    (header("(4,)" + " " * 60_000) + bytes(64), "no array that can be read: "),
    (b"\x93NUMPY\x01\x00\xff\xff{", "no array that can be read: "),
    (b"\x93NUMPY\x09\x00" + bytes(64), "its format is version (9, 0)"),
    (npy(np.eye(3))[:-1], "it claims 72 bytes and has 71"),
    (b"", "no array that can be read: "),
])  # fmt: skip
def test_a_hostile_array_is_one_line(tmp_path, data, message):
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    assert message in refusal(read_array, path)


class Payload:
    """What a pickle would run."""

    def __reduce__(self):
        return os.mkdir, (os.environ["LIGHTMINE_TEST_PAYLOAD"],)


def test_nothing_pickled_is_run(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTMINE_TEST_PAYLOAD", str(tmp_path / "ran"))
    array = np.array([Payload()], dtype=object)
    (tmp_path / "x.npy").write_bytes(npy(array, allow_pickle=True))
    np.savez(tmp_path / "x.npz", near=array)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Payload()))
    assert "it is of object" in refusal(read_array, tmp_path / "x.npy")
    assert "it is of object" in refusal(read_archive, tmp_path / "x.npz")
    refusal(read_array, tmp_path / "raw.npy")
    assert not (tmp_path / "ran").exists()


def test_a_bomb_is_refused_before_it_goes_off_unless_it_is_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    zeros = np.zeros(2 * SMALL_ARCHIVE, np.uint8)
    np.savez_compressed(path, zeros=zeros)
    assert path.stat().st_size < SMALL_ARCHIVE // 100
    assert "would expand to 33,554,560, over 100 times as many" in refusal(read_archive, path)
    monkeypatch.setenv("LIGHTMINE_MAX_EXPANSION", "5000")
    assert read_archive(str(path))["zeros"].nbytes == zeros.nbytes
    monkeypatch.setenv("LIGHTMINE_MAX_EXPANSION", "no")
    assert "LIGHTMINE_MAX_EXPANSION must be a whole number" in refusal(read_archive, path)


def test_what_a_member_claims_is_held_against_what_it_has(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("near.npy", header("(1099511627776,)") + bytes(64))
    assert "it claims 4,398,046,511,104 bytes and has 64" in refusal(read_archive, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("near.npy", npy(np.eye(2)) + b"more")
    assert "near.npy has more bytes after its array" in refusal(read_archive, path)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(MAX_MEMBERS + 1):
            archive.writestr(f"{number}.npy", b"")
    assert "1,001 arrays, and 1,000 are the most" in refusal(read_archive, path)


def test_names_in_an_archive_are_names_of_arrays_and_lead_nowhere(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escaped.npy", npy(np.eye(2)))
    assert list(read_archive(str(path))) == ["../../escaped"]
    assert not (tmp_path.parents[1] / "escaped.npy").exists()
    assert sorted(os.listdir(tmp_path)) == ["x.npz"]


@given(st.data())
@settings(max_examples=300)
def test_an_archive_with_any_bytes_changed_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    file = io.BytesIO()
    np.savez_compressed(file, near=np.arange(12.0).reshape(3, 4), lines=np.arange(3))
    whole = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    said = said_by(read_archive, path)
    assert said is None or said.startswith(f"{path}: ")


@given(st.binary(max_size=200))
def test_an_array_of_any_bytes_is_read_or_refused(tmp_path_factory, tail):
    path = tmp_path_factory.getbasetemp() / "any.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + tail)
    said = said_by(read_array, path)
    assert said is None or "\n" not in said


def test_a_pipe_is_no_array(tmp_path):
    assert "is a directory" in refusal(read_array, tmp_path)
    assert "no such file" in refusal(read_array, tmp_path / "gone")
