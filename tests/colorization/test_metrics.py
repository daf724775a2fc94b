"""Metrics by hand."""

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
    assert scores == metrics.Scores(mse=0.0, psnr=100.0, ssim=1.0, agreement=1.0)


def test_gray_has_equal_channels(crops):
    gray = metrics.gray(crops(3)).astype(int)
    assert np.abs(gray - gray[..., :1]).max() <= 1


def test_images_too_small(crops):
    small = crops(3)[:, :6]
    with pytest.raises(InputError, match="at least 7 px"):
        metrics.scores(small, small, metrics.colors(small))
