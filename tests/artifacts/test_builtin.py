"""The file of the package's weights: round trip, size, and errors."""

import numpy as np
import pytest

from color_s4l.artifacts import builtin
from color_s4l.errors import InputError

NOTE = {"network": "airbench", "width": 1.0, "normalization": "channels", "error": 25.0}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The place of a file that this test makes."""
    monkeypatch.setattr(builtin, "FILE", tmp_path / "builtin.npz")
    return tmp_path / "builtin.npz"


def test_kernels_are_rounded_and_vectors_are_exact(path):
    random = np.random.default_rng(0)
    kernels = [random.normal(size=(3, 3, 2, 2)).astype("float32") for _ in range(11)]
    # A variance that float16 could not represent.
    trunk = [*kernels, np.array([1e5, 1 / 3], "float32")]
    mean = np.array([120.1, 110.2, 100.3], "float32")
    builtin.write(path, trunk, {"mean": mean}, NOTE)
    found = builtin.read()
    assert found.note == NOTE
    np.testing.assert_array_equal(found.statistics["mean"], mean)
    assert len(found.trunk) == 12
    for array, expected in zip(found.trunk, trunk, strict=True):
        assert array.dtype == np.float32
        assert array == pytest.approx(expected, rel=1e-3, abs=1e-6)
    np.testing.assert_array_equal(found.trunk[-1], trunk[-1])
    # 11 kernels of 36 values, two bytes each, and the headers of 14 arrays.
    assert path.stat().st_size < 11 * 72 + 14 * 400


@pytest.mark.parametrize(
    ("kernel", "text"),
    [
        (np.full((1, 2), 1e5), "a value that float16 cannot represent"),
        (np.zeros((2000, 1300)), "at most 5 MB as float16. Received: 5.2 MB"),
    ],
)
def test_weights_that_do_not_fit_are_refused(path, kernel, text):
    with pytest.raises(InputError, match=text):
        builtin.write(path, [kernel.astype("float32")], {}, NOTE)
    assert not path.exists()


def test_a_missing_or_damaged_file_is_one_line(path):
    assert not builtin.exists()
    text = r"`init_from`=builtin: this installation has no built-in weights \(.*npz\)"
    with pytest.raises(InputError, match=text):
        builtin.read()
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"builtin.npz is damaged \("):
        builtin.read()


def test_the_file_of_the_package_is_small_and_complete():
    if not builtin.exists():
        pytest.skip("this checkout has no built-in weights")
    found = builtin.read()
    assert builtin.FILE.stat().st_size <= builtin.LARGEST
    names = {"network", "width", "normalization", "command", "error", "license"}
    assert names <= found.note.keys()
    assert all(np.isfinite(array).all() for array in found.trunk)
