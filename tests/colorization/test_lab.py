"""CIE L*a*b*, against scikit-image and against numbers worked out by hand."""

import numpy as np
import pytest
from skimage import color

from colorization import lab


@pytest.fixture(scope="module")
def images():
    draws = np.random.default_rng(0)
    return draws.integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)


def test_forward_equals_scikit_image(images):
    ours = np.asarray(lab.rgb_to_lab(images / np.float32(255)))
    assert np.abs(ours - color.rgb2lab(images)).max() < 1e-3


def test_backward_equals_scikit_image(images):
    colors = color.rgb2lab(images).astype("float32")
    ours = np.asarray(lab.lab_to_rgb(colors))
    assert np.abs(ours - color.lab2rgb(colors)).max() < 1e-4


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_colors_beyond_srgb_are_clipped_as_scikit_image_clips_them():
    # L*, a*, b* in their whole range: most of these colours no screen shows.
    draws = np.random.default_rng(1).uniform((0, -127, -127), (100, 127, 127), (999, 3))
    expected = color.lab2rgb(draws)
    assert (
        np.abs(np.asarray(lab.lab_to_rgb(draws.astype("f4"))) - expected).max() < 1e-3
    )


def test_inverse_of_forward_is_the_image(images):
    assert np.array_equal(np.asarray(lab.join(*lab.split(images))), images)


# White has L* 100 and no colour, black is 0 by definition. Red: X, Y, Z are the
# matrix' first column, 0.412453, 0.212671, 0.019334; over white 0.433946, 0.212671,
# 0.017757; cube roots 0.757070, 0.596915, 0.260898; so L* = 116 * 0.596915 - 16 =
# 53.24, a* = 500 * 0.160155 = 80.08, b* = 200 * 0.336017 = 67.20.
@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.08, 67.2)),
    ],
)
def test_hand_computed(rgb, expected):
    found = np.asarray(lab.rgb_to_lab(np.array(rgb, "float32")))
    assert found == pytest.approx(expected, abs=0.02)


def test_scaled_forms():
    # Red as above: 53.24 / 50 - 1 = 0.0648; 80.08 / 127 = 0.6306; 67.20 / 127 = 0.5291.
    lightness, colors = lab.split(np.array([[255, 0, 0]], np.uint8))
    assert np.asarray(lightness)[0] == pytest.approx([0.0648], abs=2e-4)
    assert np.asarray(colors)[0] == pytest.approx([0.6306, 0.5291], abs=2e-4)


def test_scaled_forms_stay_in_range():
    # The corners of the sRGB cube are the extremes of every channel.
    corners = np.array(np.meshgrid(*[[0, 255]] * 3), np.uint8).reshape(3, -1).T
    for values in lab.split(corners):
        assert np.abs(np.asarray(values)).max() <= 1 + 1e-6
