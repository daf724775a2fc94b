import subprocess
import sys
import zlib

import numpy as np
import pytest

from color_s4l import data
from color_s4l.data import drawings
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings


@pytest.fixture(scope="module")
def dataset():
    return data.load(DataSettings("drawings"))


def test_sizes_and_classes(dataset):
    assert dataset.images.shape == (3000, 32, 32, 3)
    assert dataset.test_images.shape == (1000, 32, 32, 3)
    assert dataset.classes == tuple(drawings.THINGS)
    assert np.bincount(dataset.labels).tolist() == [300] * 10
    assert np.bincount(dataset.test_labels).tolist() == [100] * 10


def test_another_process_makes_the_same_bytes(dataset):
    # Also without TensorFlow: the JAX backend must have these images.
    code = (
        "import sys, zlib; sys.modules['tensorflow'] = None\n"
        "from color_s4l import data, settings\n"
        "images = data.load(settings.DataSettings('drawings')).images\n"
        "print(zlib.crc32(images.tobytes()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"KERAS_BACKEND": "jax", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(found.stdout) == zlib.crc32(dataset.images.tobytes())


def test_no_image_occurs_twice(dataset):
    images = np.concatenate([dataset.images, dataset.test_images])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == 4000


@pytest.mark.parametrize("name", drawings.THINGS)
def test_a_thing_is_drawn_on_the_background(name, monkeypatch):
    # From equal draws, the image with and without the thing.
    def image(thing):
        monkeypatch.setattr(drawings, "_cover", lambda image, generator: None)
        return drawings.drawn(thing, np.random.default_rng(3)).astype(int)

    difference = np.abs(image(drawings.THINGS[name]) - image(lambda pen: None))
    changed = (difference.max(axis=2) > 40).mean()
    assert 0.02 < changed < 0.6


def test_other_sizes_are_the_same_drawings():
    large = data.load(DataSettings("drawings", image_size=48))
    assert large.images.shape == (3000, 48, 48, 3)
    with pytest.raises(InputError, match="does not use `data_dir`"):
        data.load(DataSettings("drawings", data_dir="photos"))
