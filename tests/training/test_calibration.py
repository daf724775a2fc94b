"""The temperature, against numbers computed by hand."""

import numpy as np
import pytest
from scipy import special

from color_s4l.training import calibration


def test_apply_divides_the_logits():
    # The square root keeps the ratio 3 : 1 of 0.9 and 0.1.
    found = calibration.apply(np.array([[0.9, 0.1], [0.5, 0.5]]), 2.0)
    assert found == pytest.approx(np.array([[0.75, 0.25], [0.5, 0.5]]))
    assert found.dtype == np.float32
    certain = calibration.apply(np.array([[1.0, 0.0]], "float32"), 4.0)
    assert np.isfinite(certain).all()
    assert certain.sum() == pytest.approx(1)


def test_fit_finds_the_temperature_of_overconfident_probabilities():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(20_000, 4))
    true = special.softmax(logits, axis=1)
    labels = (true.cumsum(axis=1) < generator.random((20_000, 1))).sum(axis=1)
    overconfident = special.softmax(3 * logits, axis=1).astype("float32")
    assert calibration.fit(overconfident, labels) == pytest.approx(3, rel=0.05)
    found = calibration.apply(overconfident, calibration.fit(overconfident, labels))
    assert (found.argmax(axis=1) == overconfident.argmax(axis=1)).all()


def test_a_few_correct_images_do_not_give_certainty():
    # 20 equal images, all correct: Laplace's rule gives 21 / 22.
    probabilities = np.tile([0.6, 0.4], (20, 1))
    temperature = calibration.fit(probabilities, np.zeros(20, int))
    found = calibration.apply(probabilities, temperature)
    assert found[:, 0] == pytest.approx(21 / 22, abs=1e-3)


def test_mistakes_are_counted_by_confidence():
    probabilities = np.array([[0.95, 0.05], [0.2, 0.8], [0.35, 0.65], [0.5, 0.5]])
    found = calibration.mistakes(probabilities, np.array([1, 1, 0, 0]))
    assert found[0] == (0.5, 4, 2)
    assert found[3] == (0.8, 2, 1)
    assert found[-2:] == ((0.95, 1, 1), (0.99, 0, 0))
