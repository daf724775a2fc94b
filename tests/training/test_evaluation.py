"""Error rates and the average over the test-time views, computed by hand."""

import keras
import numpy as np
import pytest

from color_s4l import backend
from color_s4l.networks import Network, inference_model
from color_s4l.training import evaluation
from color_s4l.views import augmentation
from color_s4l.views.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 3))
    features = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
    trunk = keras.Model(inputs, keras.layers.BatchNormalization()(features))
    network = Network(trunk, {"class": 4}, 0.5)
    preprocessing = Preprocessing(zca=False)
    network(np.random.default_rng(0).normal(size=(8, 16, 16, 3)), training=True)
    return inference_model(network, preprocessing)


def test_error_rate_by_hand():
    # Right, wrong, right, wrong (equal probabilities: the first counts), wrong.
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5], [1, 0]])
    labels = np.array([0, 1, 1, 1, 1])
    assert evaluation.error_rate(probabilities, labels) == pytest.approx(60)
    assert evaluation.error_rate(probabilities[:1], labels[:1]) == 0
    assert np.isnan(evaluation.error_rate(probabilities[:0], labels[:0]))
    # The two most probable classes: 0 and 1, 0 and 2 (equal: the first counts).
    probabilities = np.array([[0.5, 0.4, 0.1], [0.6, 0.1, 0.3], [0.6, 0.2, 0.2]])
    labels = np.array([1, 1, 2])
    assert evaluation.error_rate(probabilities, labels) == 100
    assert evaluation.error_rate(probabilities, labels, top=2) == pytest.approx(200 / 3)


@pytest.mark.parametrize("count", [1, 131])
def test_any_number_of_images(classifier, small, count):
    images = np.concatenate([small.images] * 3)[:count]
    expected = keras.ops.convert_to_numpy(classifier(images))
    found = evaluation.probabilities(classifier, images)
    assert found.shape == (count, 4)
    assert found == pytest.approx(expected, abs=1e-5)


def views_by_hand(images, draws, noises, hflip):
    """Returns the published views of preprocessed images, in any order."""
    shifts = np.array([-2, -1, 1, 2], "int32")[draws]
    moved = keras.ops.convert_to_numpy(augmentation.shift(images, shifts))
    views = [images, moved]
    if hflip:
        views += [images[:, :, ::-1], moved[:, :, ::-1]]
    return views + [v + n for v, n in zip(views, noises, strict=True)]


@pytest.mark.parametrize(("hflip", "count"), [(True, 8), (False, 4)])
def test_mean_over_the_published_views(classifier, small, monkeypatch, hflip, count):
    images = small.images[:6]
    generator = np.random.default_rng(0)
    draws = generator.integers(0, 4, (6, 2))
    noises = generator.normal(0, 0.15, (count // 2, *images.shape)).astype("float32")
    remaining, asked = list(noises), []

    def randint(shape, low, high, seed):
        asked.append((tuple(shape), low, high))
        assert evaluation.SHIFTS == (-2, -1, 1, 2)
        return keras.ops.convert_to_tensor(draws, "int32")

    def normal(shape, stddev, seed):
        asked.append(stddev)
        return keras.ops.convert_to_tensor(remaining.pop(0))

    monkeypatch.setattr(keras.random, "randint", randint)
    monkeypatch.setattr(keras.random, "normal", normal)
    model = evaluation.AugmentedClassifier(classifier, hflip=hflip, seed=1)
    found = keras.ops.convert_to_numpy(model(images))
    assert asked == [((6, 2), 0, 4)] + [0.15] * (count // 2)
    clean = keras.ops.convert_to_numpy(classifier.get_layer("preprocessing")(images))
    views = views_by_hand(clean, draws, noises, hflip)
    assert len(views) == count
    outputs = [keras.ops.convert_to_numpy(model.rest(view)) for view in views]
    assert found == pytest.approx(np.mean(outputs, axis=0), abs=1e-5)
    assert np.std(outputs, axis=0).max() > 1e-3


@pytest.mark.parametrize(
    ("views", "hflip", "offsets"),
    [
        # Offset of a view: how often it counts.
        ("flips", True, {0: 1}),
        ("flips", False, {0: 1}),
        ("shifts", True, {0: 2, -1: 1, 1: 1}),
        ("shifts", False, {0: 2, -1: 1, 1: 1}),
    ],
)
def test_mean_over_fixed_views(classifier, small, views, hflip, offsets):
    images = small.images[:6]
    model = evaluation.AugmentedClassifier(classifier, hflip=hflip, views=views, seed=1)
    clean = model.preprocessing(images)
    made = []
    for offset, times in offsets.items():
        moved = augmentation.shift(clean, np.full((6, 2), offset, "int32"))
        made += [keras.ops.convert_to_numpy(moved)] * times
    if hflip:
        made += [view[:, :, ::-1] for view in made]
    outputs = [keras.ops.convert_to_numpy(model.rest(view)) for view in made]
    found = keras.ops.convert_to_numpy(model(images))
    assert found == pytest.approx(np.mean(outputs, axis=0), abs=1e-5)


def test_mean_over_four_rotations(classifier, small):
    images = small.images[:6]
    found = evaluation.augmented_probabilities(
        classifier, images, hflip=True, views="rotations"
    )
    turned = [np.rot90(images, turn, axes=(1, 2)) for turn in range(4)]
    outputs = [evaluation.probabilities(classifier, views) for views in turned]
    assert found == pytest.approx(np.mean(outputs, axis=0), abs=1e-5)


def test_evaluations_agree_and_other_seeds_draw_other_views(classifier, small):
    images = small.test_images[:9]

    def predicted():
        return evaluation.augmented_probabilities(classifier, images, hflip=True)

    first = predicted()
    assert first.shape == (9, 4)
    assert first.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert predicted() == pytest.approx(first, abs=1e-6)
    other = evaluation.AugmentedClassifier(classifier, hflip=True, seed=1)
    found = evaluation.probabilities(other, images)
    assert np.abs(found - first).max() > 1e-4


def test_a_batch_is_divisible_by_the_devices(classifier, small, monkeypatch):
    sizes, fed = [], backend.fed
    monkeypatch.setattr(evaluation, "BATCH_SIZE", 8)

    def noted(batches):
        sizes.append([len(batches[i][0]) for i in range(batches.num_batches)])
        return fed(batches)

    monkeypatch.setattr(backend, "fed", noted)
    found = evaluation.probabilities(classifier, small.test_images[:7], devices=3)
    assert sizes == [[6, 6]]
    expected = keras.ops.convert_to_numpy(classifier(small.test_images[:7]))
    assert found == pytest.approx(expected, abs=1e-5)
