"""Atomic writing, safe reading, and the cache."""

import itertools
import os
import resource
import signal
import time
import zipfile

import numpy as np
import pytest

from color_s4l.artifacts import cache, files


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.csv"
    files.write_atomically(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_full_error_has_the_file_name(tmp_path):
    path = tmp_path / "kept"
    files.write_atomically(path, lambda file: file.write(b"old"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            files.write_atomically(path, lambda file: file.write(bytes(9000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_full_error_of_h5py_is_one_line(tmp_path):
    text = "Can't decrement id ref count (file write failed: time = 1\n, errno = 28, e"
    for error in (RuntimeError(text), OSError(28, text)):

        def fail(name, error=error):
            raise error

        with pytest.raises(OSError, match="No space left on device") as raised:
            files.save_atomically(tmp_path / "a.h5", fail)
        assert raised.value.filename == str(tmp_path / "a.h5")
        assert "\n" not in str(raised.value)


def test_ctrl_c_waits_until_the_file_is_written(tmp_path):
    path = tmp_path / "whole"

    def write(file):
        file.write(b"first ")
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        file.write(b"second")

    with pytest.raises(KeyboardInterrupt), files.uninterrupted():
        files.write_atomically(path, write)
    assert path.read_bytes() == b"first second"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with files.uninterrupted():
        pass


def test_the_temporary_file_has_the_same_ending(tmp_path):
    names = []

    def save(name):
        names.append(name)
        with open(name, "w") as file:
            file.write("new")

    files.save_atomically(tmp_path / "model.h5", save)
    assert names[0].endswith(".h5")
    assert (tmp_path / "model.h5").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_file_of_arrays_is_read_or_refused(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, index=np.arange(5), probabilities=np.ones((5, 2), "float32"))
    whole = path.read_bytes()
    refused = 0
    changes = itertools.cycle((0x01, 0x20, 0xFF, 0x02))
    for place, change in zip(range(len(whole)), changes, strict=False):
        damaged = bytearray(whole)
        damaged[place] ^= change
        path.write_bytes(damaged)
        try:
            arrays = files.read_arrays(path)
        except (ValueError, OSError):
            refused += 1
        else:
            assert all(isinstance(array, np.ndarray) for array in arrays.values())
    assert refused > len(whole) // 3  # dates and the like have no checksum


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (8, 99, "NotImplementedError: .*compression"),  # the method, 0: stored
        (6, 1, "RuntimeError: .*encrypted"),  # the flags, bit 0
    ],
)
def test_names_the_reason_for_other_zip_files(tmp_path, place, value, text):
    path = tmp_path / "a.npz"
    files.write_arrays(path, {"a": np.arange(3)})
    content = bytearray(path.read_bytes())
    # In the member's header and, two bytes later, in the directory at the end.
    content[place] = content[content.index(b"PK\1\2") + place + 2] = value
    path.write_bytes(content)
    with pytest.raises(ValueError, match=text):
        files.read_arrays(path)


def test_refuses_members_that_are_not_arrays(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(ValueError, match=r"'notes.txt' is not an array"):
        files.read_arrays(path)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A function like `cache.cached`; `calls` holds one item for each computation."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def compute():
        calls.append(1)
        return {"a": np.arange(3)}

    def run(*parts):
        return cache.cached("numbers", parts, compute)["a"].tolist()

    run.calls = calls
    return run


def test_computes_once_for_the_same_parts(cached):
    parts = ("text", np.arange(4))
    assert cached(*parts) == cached(*parts) == [0, 1, 2]
    assert len(cached.calls) == 1


def test_another_text_value_dtype_or_shape_computes_anew(cached):
    numbers = np.arange(4)
    for parts in (
        ("text", numbers),
        ("texu", numbers),
        ("text", numbers[::-1]),
        ("text", numbers.astype("int32")),
        ("text", numbers.reshape(2, 2)),
    ):
        cached(*parts)
    assert len(cached.calls) == 5


@pytest.mark.parametrize("left", [0, 10, 200])
def test_a_damaged_cache_is_computed_anew(cached, left):
    cached("text")
    (path,) = cache.folder().iterdir()
    path.write_bytes(path.read_bytes()[:left])
    assert cached("text") == [0, 1, 2]
    assert cached("text") == [0, 1, 2]
    assert len(cached.calls) == 2


def test_a_cache_that_cannot_be_written_is_logged(cached, tmp_path, caplog):
    (tmp_path / "color_s4l").write_text("a file where the folder should be")
    assert cached("text") == [0, 1, 2]
    assert "not cached" in caplog.text
