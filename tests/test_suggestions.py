"""Suggested images: uncertain, and one of each kind."""

import numpy as np
import pytest

from color_s4l import suggestions


@pytest.fixture
def groups():
    """Four groups of 8 images, the first most uncertain, the last without doubt."""
    generator = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), 8)
    features = 10 * np.eye(4)[kinds] + generator.normal(scale=0.1, size=(32, 4))
    best = np.array([0.5, 0.55, 0.6, 0.99])[kinds] + generator.uniform(0, 0.01, 32)
    return kinds, features.astype("float32"), np.stack([best, 1 - best], axis=1)


def test_one_image_of_each_uncertain_group(groups):
    kinds, features, probabilities = groups
    chosen = suggestions.choose(features, probabilities, 3)
    # In the order of uncertainty; the three most uncertain images are all of group 0.
    assert kinds[chosen].tolist() == [0, 1, 2]
    assert set(kinds[np.argsort(probabilities[:, 0])[:3]]) == {0}


def test_every_image_is_chosen_once(groups):
    _, features, probabilities = groups
    chosen = suggestions.choose(features, probabilities, 9)
    assert len(set(chosen)) == 9
    everything = suggestions.choose(features, probabilities, 500)
    assert sorted(everything) == list(range(32))


def test_equal_images_and_equal_probabilities():
    features = np.ones((12, 3), "float32")
    probabilities = np.tile([1.0, 0.0], (12, 1))
    assert len(set(suggestions.choose(features, probabilities, 5))) == 5
    assert len(suggestions.choose(features[:0], probabilities[:0], 5)) == 0
