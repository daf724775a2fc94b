"""Prediction and evaluation with a finished run."""

import pathlib

import numpy as np
import pytest

import color_s4l
from color_s4l.classifier import Classifier
from color_s4l.errors import InputError


@pytest.fixture(scope="module")
def classifier(finished):
    return color_s4l.load(finished.run_dir)


def test_a_run_directory_is_a_classifier(classifier, small):
    assert classifier.classes == ("0", "1", "2", "3")
    assert (classifier.about.hflip, classifier.about.resize) == (True, "crop")
    assert classifier.image_size == 16
    probabilities = classifier.predict(small.test_images[:5])
    assert probabilities.shape == (5, 4)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert classifier.predict(small.test_images[:0]).shape == (0, 4)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_file_is_the_same_classifier(classifier, finished, small, suffix):
    alone = color_s4l.load(pathlib.Path(finished.run_dir) / f"model{suffix}")
    assert alone.about == classifier.about
    found = alone.predict(small.test_images)
    assert found == pytest.approx(classifier.predict(small.test_images), abs=1e-6)


def test_errors_with_and_without_augmentation(classifier, small):
    images = small.test_images[:9]
    plain = classifier.predict(images)
    labels = plain.argmax(axis=1)
    names = np.array(classifier.classes)[labels]
    assert classifier.error_rate(images, names) == 0
    assert classifier.error_rate(images, (labels[:, None] + 1) % 4) == 100
    found = classifier.evaluate(images, labels)
    assert found["error"] == 0
    assert 0 <= found["error_augmented"] <= 100
    unnamed = Classifier(classifier.network)
    assert unnamed.class_names == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (np.zeros((1, 16, 16, 3)), r"uint8 images .*\(n, 16, 16, 3\).*float64"),
        (np.zeros((1, 32, 32, 3), "uint8"), r"Received: uint8 \(1, 32, 32, 3\)"),
        (np.zeros((16, 16, 3), "uint8"), r"Received: uint8 \(16, 16, 3\)"),
    ],
)
def test_other_images_are_refused(classifier, images, text):
    with pytest.raises(InputError, match=text):
        classifier.predict(images)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (
            [0, 1],
            r"shape \(3,\), one for each image. Received: \(2,\)",
        ),
        ([0, 1, 4], "Expected `labels` from 0 to 3. Received: from 0 to 4"),
        ([0.0, 1.0, 2.0], "to be class names or integers. Received: float64"),
        (["0", "1", "7"], r"names of classes \(0, 1, 2, 3\). Received: '7'"),
    ],
)
def test_other_labels_are_refused(classifier, small, labels, text):
    with pytest.raises(InputError, match=text):
        classifier.error_rate(small.test_images[:3], np.array(labels))


def test_other_files_are_refused(tmp_path, colorizer_file):
    with pytest.raises(InputError, match=r"no model at .*no\.keras"):
        color_s4l.load(tmp_path / "no.keras")
    with pytest.raises(InputError, match="is not a run directory"):
        color_s4l.load(tmp_path)
    for name in ("text.keras", "text.h5"):
        (tmp_path / name).write_text("no model")
        with pytest.raises(InputError, match="is not a classifier of this library"):
            color_s4l.load(tmp_path / name)
    with pytest.raises(InputError, match="is not a classifier of this library"):
        color_s4l.load(colorizer_file)
