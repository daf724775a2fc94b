"""Suggested images: the same as with explicit embeddings, and different ones."""

import numpy as np
import pytest

from color_s4l import suggestions


@pytest.fixture
def pool():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 5)).astype("float32")
    return features, generator.dirichlet(np.ones(4), 60).astype("float32")


def explicit(features, probabilities, count):
    """BADGE with the embeddings themselves."""
    rows = np.arange(len(features))
    errors = probabilities.copy()
    errors[rows, errors.argmax(axis=1)] -= 1
    embeddings = np.einsum("ik,ic->ikc", errors, features).reshape(len(rows), -1)
    embeddings = embeddings.astype("float64")
    chosen = [int((embeddings**2).sum(axis=1).argmax())]
    generator = np.random.default_rng(0)
    while len(chosen) < count:
        apart = embeddings[:, None] - embeddings[chosen]
        weights = (apart**2).sum(axis=2).min(axis=1)
        chosen.append(int(generator.choice(rows, p=weights / weights.sum())))
    return chosen


def test_choice_is_that_of_explicit_embeddings(pool):
    assert suggestions.choose(*pool, 12).tolist() == explicit(*pool, 12)


def test_copies_and_certain_images_come_last():
    # Two uncertain images, each 20 times, and 20 images without any doubt.
    features = np.repeat(np.eye(3, dtype="float32"), 20, axis=0)
    probabilities = np.tile(np.float32([0.5, 0.5]), (60, 1))
    probabilities[40:] = [1, 0]
    chosen = suggestions.choose(features, probabilities, 3)
    assert sorted(chosen[:2] // 20) == [0, 1]
    everything = suggestions.choose(features, probabilities, 100)
    assert sorted(everything) == list(range(60))
