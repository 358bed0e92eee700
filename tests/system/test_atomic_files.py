import os
import resource
import subprocess
import sys

import pytest

from lightmine.errors import StoreError
from lightmine.system.atomic_files import atomic_write, format_size, open_locked, write_error


def test_what_is_replaced_stays_until_the_new_is_whole(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


def write(path, parts, seek=None):
    with atomic_write(path) as file:
        for part in parts:
            file.write(part)
        if seek is not None:
            file.seek(seek)
            file.write(b"!")


@pytest.fixture
def small_files():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("sizes", [[300_000], [50_000] * 6, [1] * 300_000])
@pytest.mark.parametrize("seek", [None, 5, 299_999])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, small_files, sizes, seek):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="File too large"):
        write(path, (b"a" * size for size in sizes), seek)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_what_a_killed_writer_left_goes_with_the_next_and_live_parts_stay(tmp_path):
    path = tmp_path / "x"
    (tmp_path / ".x.1-0123abcd.part").touch()
    (tmp_path / ".y.1-0123abcd.part").touch()
    with atomic_write(path) as first:
        first.write(b"first")
        with atomic_write(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert sorted(os.listdir(tmp_path)) == [".y.1-0123abcd.part", "x"]


def test_seeking_and_writing_again_is_as_in_any_file(tmp_path):
    write(tmp_path / "x", [b"abc", b"def"], seek=1)
    assert (tmp_path / "x").read_bytes() == b"a!cdef"


def test_a_lock_is_one_processes_at_a_time(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import sys, pathlib, lightmine.system.atomic_files as f; "
        "f.open_locked(pathlib.Path(sys.argv[1])).__enter__()"
    )
    with open_locked(path) as file:
        file.write(b"mine")
        with pytest.raises(StoreError, match="lock: in use: another process writes there"):
            open_locked(path).__enter__()
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
        assert "StoreError" in done.stderr
    with open_locked(path) as file:
        assert file.read() == b"mine"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (28, "x: cannot be written: No space left on device; free some space and run the command again"),
        (122, "x: cannot be written: Disk quota exceeded; free some space and run the command again"),
        (27, "x: cannot be written: File too large; raise the limit of file sizes (ulimit -f) and run the "
             "command again"),
        (5, "x: cannot be written: Input/output error"),
    ],
)  # fmt: skip
def test_errors_of_writing_say_what_to_do(number, message):
    assert str(write_error("x", OSError(number, os.strerror(number)))) == message


def test_sizes_are_in_few_digits():
    assert [format_size(size) for size in (0, 999, 1000, 999_499_999, 5e18)] == [
        "0 bytes", "999 bytes", "1 kB", "999 MB", "5e+03 PB",
    ]  # fmt: skip
