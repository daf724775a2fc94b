"""The colorizer: any size, deterministic, lightness kept."""

import dataclasses

import numpy as np
import pytest

from colorization import colorizer as module
from colorization import lab


@pytest.mark.parametrize("size", [(37, 50), (32, 32), (1, 1), (8, 3)])
def test_any_size_comes_back(colorizer, size, crops):
    images = crops(3, 64)[:, : size[0], : size[1]]
    assert colorizer.colorize(images).shape == images.shape


def test_no_image_at_all(colorizer, crops):
    assert colorizer.colorize(crops(4)[:0]).shape == (0, 32, 32, 3)


def test_padding_is_mirrored():
    # Rows 1, 2, 3 to eight: 1 2 3 | 3 2 1 | 1 2
    rows = np.array([1, 2, 3], np.uint8).reshape(1, 3, 1, 1)
    padded = module.pad(np.repeat(rows, 8, axis=2))
    assert padded[0, :, 0, 0].tolist() == [1, 2, 3, 3, 2, 1, 1, 2]


def test_deterministic(colorizer, crops):
    images = crops(10)
    assert np.array_equal(colorizer.colorize(images), colorizer.colorize(images))


def test_batches_change_rounding_only(colorizer, crops):
    images = crops(10)
    one = colorizer.colorize(images, batch_size=1).astype(int)
    assert np.abs(one - colorizer.colorize(images, batch_size=7)).max() <= 1


def test_only_the_lightness_is_looked_at(colorizer, crops):
    images = crops(10)
    grey = np.asarray(lab.join(lab.split(images)[0], np.zeros((10, 32, 32, 2), "f4")))
    difference = colorizer.predict(images) - colorizer.predict(grey)
    assert np.abs(difference).max() < 0.02  # the grey image's own rounding


def test_lightness_is_kept(colorizer, crops):
    # Where the prediction is a colour of sRGB, L* comes back but for rounding.
    images = crops(10)
    before, after = (
        np.asarray(lab.split(i)[0]) for i in (images, colorizer.colorize(images))
    )
    assert np.median(np.abs(before - after)) < 0.01


def test_colorize_joins_what_predict_gives(colorizer, crops):
    images = crops(5)
    expected = np.asarray(lab.join(lab.split(images)[0], colorizer.predict(images)))
    assert np.abs(expected.astype(int) - colorizer.colorize(images)).max() <= 1


def test_digest_follows_weights(colorizer, untrained):
    same = dataclasses.replace(colorizer)
    assert same.digest == colorizer.digest
    assert len(colorizer.digest) == 64
    assert untrained.digest != colorizer.digest


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), "uint8")]
)
def test_wrong_images(colorizer, wrong):
    with pytest.raises(
        ValueError, match=r"Expected images uint8 \(n, height, width, 3\)"
    ):
        colorizer.colorize(wrong)
