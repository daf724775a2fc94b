"""Checkpoint files: equal values come back, anything else is refused."""

import keras
import numpy as np
import pytest

from color_s4l.artifacts import checkpoint_files
from color_s4l.errors import InputError


def variables(*values):
    return [keras.Variable(value, name=f"v{i}") for i, value in enumerate(values)]


def test_round_trip(tmp_path):
    path = tmp_path / "c.npz"
    saved = variables([1.0, 2.0], 3.0, np.array([4], "uint32"))
    arrays = {"labeled": np.array([7, 8])}
    checkpoint_files.save(path, saved, epoch=5, note={"a": [1]}, arrays=arrays)
    checkpoint = checkpoint_files.read(path)
    assert checkpoint.note == {"epoch": 5, "a": [1]}
    assert list(checkpoint.arrays["labeled"]) == [7, 8]
    others = variables([0.0, 0.0], 0.0, np.array([0], "uint32"))
    checkpoint.assign(others)
    for first, second in zip(saved, others, strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "others", [([1.0, 2.0],), ([1.0], 3.0), ([1.0, 2.0], 3.0, 4.0)]
)
def test_other_variables_are_refused(tmp_path, others):
    path = tmp_path / "c.npz"
    checkpoint_files.save(path, variables([1.0, 2.0], 3.0), epoch=1)
    given = variables(*others)
    before = [np.asarray(variable) for variable in given]
    with pytest.raises(ValueError, match="Received: 2, not all with the same names"):
        checkpoint_files.read(path).assign(given)
    for first, second in zip(before, given, strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_keep_the_old_file(tmp_path, bad):
    path = tmp_path / "c.npz"
    checkpoint_files.save(path, variables(1.0), epoch=1)
    with pytest.raises(InputError, match=r"after epoch 2.*`learning_rate`"):
        checkpoint_files.save(path, variables(1.0, bad), epoch=2)
    assert checkpoint_files.read(path).note["epoch"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["c.npz"]


def test_damaged_and_missing_files(tmp_path):
    path = tmp_path / "c.npz"
    checkpoint_files.save(path, variables([1.0, 2.0]), epoch=1)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"PK no archive", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged: remove it to start anew"):
            checkpoint_files.read(path)
    with pytest.raises(InputError, match="damaged"):
        checkpoint_files.read(tmp_path / "missing.npz")
