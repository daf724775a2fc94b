"""What a user does with a finished run."""

import pathlib

import numpy as np
import pytest

import color_s4l
from color_s4l.errors import InputError


@pytest.fixture(scope="module")
def classifier(finished):
    return color_s4l.load(finished.run_dir)


def test_a_run_folder_is_a_classifier(classifier, small):
    assert classifier.classes == ("0", "1", "2", "3")
    assert classifier.hflip
    assert classifier.image_size == 16
    probabilities = classifier.predict(small.test_images[:5])
    assert probabilities.shape == (5, 4)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert classifier.predict(small.test_images[:0]).shape == (0, 4)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_file_predicts_alike(classifier, finished, small, suffix):
    alone = color_s4l.load(pathlib.Path(finished.run_dir) / f"model{suffix}")
    assert (alone.classes, alone.hflip) == (classifier.classes, True)
    assert alone.predict(small.test_images) == pytest.approx(
        classifier.predict(small.test_images), abs=1e-6
    )


def test_augmented_prediction_is_another_and_repeats(classifier, small):
    images = small.test_images[:4]
    first = classifier.predict(images, augment=True)
    assert first == pytest.approx(classifier.predict(images, augment=True), abs=1e-6)
    assert np.abs(first - classifier.predict(images)).max() > 0


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (
            np.zeros((1, 16, 16, 3)),
            r"uint8 images .*\(n, 16, 16, 3\).*float64",
        ),
        (np.zeros((1, 32, 32, 3), "uint8"), r"Received: uint8 \(1, 32, 32, 3\)"),
        (np.zeros((16, 16, 3), "uint8"), r"Received: uint8 \(16, 16, 3\)"),
    ],
)
def test_refuses_other_images(classifier, images, text):
    with pytest.raises(InputError, match=text):
        classifier.predict(images)


def test_refuses_what_is_no_classifier(tmp_path, colorizer_file):
    with pytest.raises(InputError, match=r"no model at .*no\.keras"):
        color_s4l.load(tmp_path / "no.keras")
    with pytest.raises(InputError, match="is no run's folder"):
        color_s4l.load(tmp_path)
    for name in ("text.keras", "text.h5"):
        (tmp_path / name).write_text("no model")
        with pytest.raises(InputError, match="is no classifier of this library"):
            color_s4l.load(tmp_path / name)
    with pytest.raises(InputError, match="is no classifier of this library"):
        color_s4l.load(colorizer_file)
