"""Metrics by hand."""

import dataclasses

import numpy as np
import pytest

from color_s4l.errors import InputError
from colorization import metrics


def test_peak_ratio():
    # A difference of 10 everywhere: 10 log10(255^2 / 100) = 28.13 dB; the equal
    # image counts as 100 dB; their mean is 64.07.
    true = np.full((2, 8, 8, 3), 100, np.uint8)
    other = true.copy()
    other[0] += 10
    assert metrics.peak_ratio(true, other) == pytest.approx(64.065, abs=1e-3)


def test_squared_error_and_agreement():
    # Squares 0.04, 0, 0.04, 0; the second pixel turns from b* to a*.
    true = np.array([[[[0.5, 0.1], [0.2, 0.3]]]])
    other = np.array([[[[0.3, 0.1], [0.4, 0.3]]]])
    assert metrics.squared_error(true, other) == pytest.approx(0.02)
    assert metrics.argmax_agreement(true, other) == 0.5


def test_scores_of_an_image_with_itself(crops):
    images = crops(3)
    scores = metrics.scores(images, images, metrics.colors(images))
    found = dataclasses.astuple(scores)
    assert found == (0.0, 0.0, 100.0, 1.0, 1.0, 1.0, metrics.colorfulness(images))


def test_hue_agreement():
    # Angles 0, 90 and 180 degrees, and a grey pixel, which is left out.
    true = np.array([[[[0.3, 0.0], [0.0, 0.2], [-0.1, 0.0], [0.01, 0.0]]]])
    turned = np.deg2rad([29.0, 121.0, 0.0, 0.0])  # by 29, 31 and 180 degrees
    other = 0.5 * np.stack([np.cos(turned), np.sin(turned)], axis=-1)[None, None]
    assert metrics.hue_agreement(true, other) == pytest.approx(1 / 3)
    assert metrics.hue_agreement(true, 0 * true) == 0
    assert metrics.hue_agreement(0 * true, other) == 0


def test_colorfulness():
    grey = np.full((1, 2, 2, 3), 90, np.uint8)
    assert metrics.colorfulness(grey) == 0
    # One colour (100, 60, 40): rg 40, yb 40, no deviation: 0.3 sqrt(40^2 + 40^2).
    one = np.zeros((1, 2, 2, 3), np.uint8) + np.array([100, 60, 40], np.uint8)
    assert metrics.colorfulness(one) == pytest.approx(0.3 * 40 * 2**0.5, rel=1e-5)
    # Half of it grey: means 20 and deviations 20 of both.
    one[:, 0] = 90
    expected = 20 * 2**0.5 * 1.3
    assert metrics.colorfulness(one) == pytest.approx(expected, rel=1e-5)
    both = np.concatenate([grey, one])
    assert metrics.colorfulness(both) == pytest.approx(expected / 2, rel=1e-5)


def test_the_best_constant_tint():
    # b* is above a* in three of four pixels.
    true = np.array([[[[0.1, 0.3], [0.0, 0.1], [0.2, 0.1], [0.1, 0.3]]]], "float32")
    assert metrics.tint_agreement(true) == 0.75
    assert metrics.tint_agreement(true[..., ::-1]) == 0.75
    np.testing.assert_allclose(metrics.mean_color(true), [0.1, 0.2], rtol=1e-6)


def test_a_tint_is_told_from_colours(crops):
    images = crops(4)
    true = metrics.colors(images)
    tint = np.broadcast_to(metrics.mean_color(true), true.shape)
    line = metrics.compare_with_tint(images, tint)
    assert "the network has learned no more than a tint" in line
    assert "agrees in 100.0 % of the pixels" in metrics.compare_with_tint(images, true)
    assert "no more than" not in metrics.compare_with_tint(images, true)
    # Right signs, and colours that are too strong.
    assert "no more than a tint" in metrics.compare_with_tint(images, 5 * true)


def test_a_tinted_image_has_its_lightness_and_the_colour(crops):
    images = crops(3)
    tinted = metrics.gray(images, np.array([0.02, 0.05], "float32"))
    found = metrics.mean_color(metrics.colors(tinted))
    np.testing.assert_allclose(found, [0.02, 0.05], atol=0.005)


def test_gray_has_equal_channels(crops):
    gray = metrics.gray(crops(3)).astype(int)
    assert np.abs(gray - gray[..., :1]).max() <= 1


def test_images_too_small(crops):
    small = crops(3)[:, :6]
    with pytest.raises(InputError, match="at least 7 px"):
        metrics.scores(small, small, metrics.colors(small))
