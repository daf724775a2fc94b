"""Hue, chroma and lightness, their histograms, their loss and their decoding."""

import colorsys
import math

import keras
import numpy as np
import pytest
from keras import ops

from colorization import hue_chroma


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((2, 3, 4, 3)).astype("float32")


def test_hue_chroma_and_lightness_of_known_colours():
    colors = np.array(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0.5, 0.5, 0.5], [0.8, 0.4, 0.6]],
        "float32",
    )
    hue, chroma, lightness = map(numpy_of, hue_chroma.hue_chroma(colors))
    # The last: (0.4 - 0.6) / 0.4 = -1/2 of a sixth, so 1 - 1/12.
    assert hue == pytest.approx([0, 1 / 3, 2 / 3, 1 / 6, 0, 11 / 12], abs=1e-6)
    assert chroma == pytest.approx([1, 1, 1, 1, 0, 0.4], abs=1e-6)
    expected = [1 / 3, 1 / 3, 1 / 3, 2 / 3, 0.5, 0.6]
    assert lightness == pytest.approx(expected, abs=1e-6)


def test_the_hue_is_that_of_hsv(images):
    hue = numpy_of(hue_chroma.hue_chroma(images)[0])
    expected = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in images.reshape(-1, 3)]
    assert hue.ravel() == pytest.approx(expected, abs=1e-5)
    assert (hue < 1).all()


def test_rgb_is_the_inverse(images):
    found = numpy_of(hue_chroma.rgb(*hue_chroma.hue_chroma(images)))
    assert found == pytest.approx(images, abs=1e-5)


def test_colours_outside_the_gamut_are_clipped():
    # Red 1.3, green and blue 0.7: mean 0.9, difference 0.6.
    found = numpy_of(hue_chroma.rgb(*np.array([[0.0], [0.6], [0.9]], "float32")))
    assert found == pytest.approx(np.array([[1.0, 0.7, 0.7]]), abs=1e-6)


def test_histograms():
    values = np.array([[[0.0, 0.24], [0.5, 1.0]]], "float32")
    assert numpy_of(hue_chroma.bin_of(values, 4)).tolist() == [[[0, 0], [2, 3]]]
    single = numpy_of(hue_chroma.histograms(values, 4))
    assert single[0, 1].tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]
    # A window of 3 px around each pixel of a 2 x 2 image contains the whole image.
    window = numpy_of(hue_chroma.histograms(values, 4, 3))
    assert window == pytest.approx(np.broadcast_to([0.5, 0, 0.25, 0.25], window.shape))


@pytest.mark.parametrize(
    ("lightness", "factor"), [(0.5, 1), (1 / 3, 1), (0.1, 0.3), (0.9, 0.3), (0, 0)]
)
def test_the_loss_of_a_site(lightness, factor):
    # KL of (1, 0) from (1/2, 1/2): ln 2; of (1/2, 1/2) from (1/4, 3/4): ln(4/3) / 2.
    hue = np.array([[1.0, 0.0]], "float32"), np.zeros((1, 2), "float32")
    target = np.array([[0.5, 0.5]], "float32")
    chroma = target, np.log(np.array([[0.25, 0.75]], "float32"))
    found = hue_chroma.site_losses(
        hue, chroma, np.array([0.2], "float32"), np.array([lightness], "float32")
    )
    expected = factor * math.log(4 / 3) / 2 + 5 * 0.2 * math.log(2)
    assert numpy_of(found) == pytest.approx([expected], rel=1e-4)


def test_decoding_uses_the_median_chroma_and_the_mean_hue_vector():
    chroma = np.array([[0.3, 0.3, 0.4, 0.0]], "float32")
    certain = np.array([[0.0, 1.0, 0.0, 0.0]], "float32")
    hue, found = map(numpy_of, hue_chroma.decode(certain, chroma))
    # The second bin reaches one half; its centre is 3/8. The hue's bin: 3/8.
    assert (hue[0], found[0]) == pytest.approx((0.375, 0.375))
    # Two neighbouring bins: the angle between them; |z| = cos(pi / 4).
    between = np.array([[0.0, 0.5, 0.5, 0.0]], "float32")
    hue, found = map(numpy_of, hue_chroma.decode(between, chroma))
    assert hue[0] == pytest.approx(0.5)
    assert found[0] == pytest.approx(0.375 * math.sqrt(0.5) / 0.96, rel=1e-5)
    # First and last bin: the mean of the angles is 0, not one half.
    around = np.array([[0.5, 0.0, 0.0, 0.5]], "float32")
    hue = numpy_of(hue_chroma.decode(around, chroma)[0])
    assert min(hue[0], 1 - hue[0]) == pytest.approx(0, abs=1e-6)
    # Opposite hues: no colour.
    even = np.full((1, 4), 0.25, "float32")
    assert numpy_of(hue_chroma.decode(even, chroma)[1])[0] == pytest.approx(0, abs=1e-6)


def test_histograms_of_one_pixel_are_decoded_to_its_colour(images):
    hue, chroma, lightness = hue_chroma.hue_chroma(images)
    sharp = [hue_chroma.histograms(values, 256) for values in (hue, chroma)]
    again = hue_chroma.rgb(*hue_chroma.decode(*sharp), lightness)
    assert numpy_of(ops.max(ops.abs(again - images))) < 0.03
