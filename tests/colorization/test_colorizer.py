"""The colorizer: any size, deterministic, lightness kept."""

import dataclasses

import numpy as np
import pytest

from colorization import lab
from colorization.colorizer import pad


def lightness_of(images):
    return np.asarray(lab.split(images)[0])


@pytest.mark.parametrize("size", [(37, 50), (32, 32), (1, 1), (8, 3)])
def test_any_size_comes_back(colorizer, size, crops):
    images = crops(3, 64)[:, : size[0], : size[1]]
    assert colorizer.colorize(images).shape == images.shape
    assert colorizer.colorize(images[:0]).shape == (0, *size, 3)


def test_padding_is_mirrored():
    # Rows 1, 2, 3 to eight: 1 2 3 | 3 2 1 | 1 2
    rows = np.array([1, 2, 3], np.uint8).reshape(1, 3, 1, 1)
    padded = pad(np.repeat(rows, 8, axis=2))
    assert padded[0, :, 0, 0].tolist() == [1, 2, 3, 3, 2, 1, 1, 2]


def test_deterministic_and_batches_change_rounding_only(colorizer, crops):
    images = crops(10)
    found = colorizer.colorize(images)
    assert np.array_equal(found, colorizer.colorize(images))
    one = colorizer.colorize(images, batch_size=1).astype(int)
    assert np.abs(one - colorizer.colorize(images, batch_size=7)).max() <= 1


def test_only_the_lightness_is_read(colorizer, crops):
    images = crops(10)
    grey = np.asarray(lab.join(lightness_of(images), np.zeros((10, 32, 32, 2), "f4")))
    difference = colorizer.predict(images) - colorizer.predict(grey)
    assert np.abs(difference).max() < 0.02  # the grey image's own rounding


def test_colorize_joins_lightness_and_predicted_colors(colorizer, crops):
    images = crops(10)
    found = colorizer.colorize(images)
    expected = np.asarray(lab.join(lightness_of(images), colorizer.predict(images)))
    assert np.abs(expected.astype(int) - found).max() <= 1
    # L* changes by rounding only, except for colours outside the gamut of sRGB.
    difference = np.abs(lightness_of(images) - lightness_of(found))
    assert np.median(difference) < 0.01


@pytest.mark.parametrize("longest", [1024, 24])
def test_a_photograph_keeps_its_lightness_at_full_resolution(colorizer, longest, crops):
    image = crops(1, 60)[0, :, :45]
    result = colorizer.colorize_photograph(image, longest)
    assert result.shape == image.shape
    assert np.median(np.abs(lightness_of(image) - lightness_of(result))) < 0.01


def test_small_photographs_are_predicted_at_their_own_size(colorizer, crops):
    image = crops(1, 40)[0]
    result = colorizer.colorize_photograph(image, longest=40).astype(int)
    assert np.abs(result - colorizer.colorize(image[None])[0]).max() <= 1


def test_digest_depends_on_weights(colorizer, untrained):
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
