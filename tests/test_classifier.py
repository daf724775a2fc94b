"""Prediction and evaluation with a finished run."""

import dataclasses
import pathlib

import numpy as np
import pytest
from PIL import Image

import color_s4l
from color_s4l.classifier import Classifier
from color_s4l.data import image_files
from color_s4l.errors import InputError
from color_s4l.training import calibration


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


def test_images_of_every_kind(classifier, small, tmp_path):
    images = small.test_images[:3]
    expected = classifier.predict(images)
    one = classifier.predict(images[0])
    assert one.shape == (1, 4)
    assert one[0] == pytest.approx(expected[0], abs=1e-6)
    assert classifier.predict(images / 255) == pytest.approx(expected, abs=1e-6)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    assert classifier.predict(paths) == pytest.approx(expected, abs=1e-6)
    assert classifier.predict(str(paths[1])) == pytest.approx(expected[1:2], abs=1e-6)
    names = np.array(classifier.classes)[expected.argmax(axis=1)]
    assert classifier.error_rate(paths, names) == 0


@pytest.mark.parametrize("resize", ["crop", "pad"])
def test_images_of_another_size_are_resized_as_in_training(classifier, resize):
    about = dataclasses.replace(classifier.about, resize=resize)
    resizing = Classifier(classifier.network, about)
    generator = np.random.default_rng(0)
    large = generator.integers(0, 256, (2, 40, 24, 3), np.uint8)
    squares = [image_files.square(Image.fromarray(x), 16, resize) for x in large]
    expected = resizing.predict(np.stack(squares))
    assert resizing.predict(large) == pytest.approx(expected, abs=1e-6)


def test_features_are_those_of_the_class_head(classifier, small):
    images = small.test_images[:5]
    probabilities, features = classifier.predict_with_features(images)
    assert probabilities == pytest.approx(classifier.predict(images), abs=1e-6)
    kernel, bias = classifier.network.get_layer("class").get_weights()
    logits = (features @ kernel + bias) / classifier.about.temperature
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert probabilities == pytest.approx(expected, abs=1e-5)


def test_the_temperature_is_fitted_to_the_validation_images(classifier, small):
    about = classifier.about
    assert about.calibrated_on == "8 validation images"
    raw = Classifier(classifier.network).predict(small.test_images)
    found = classifier.predict(small.test_images)
    assert found == pytest.approx(calibration.apply(raw, about.temperature), abs=1e-6)
    assert np.abs(found - raw).max() > 1e-4
    assert about.counted_on == f"{len(small.test_images)} test images"
    wrong = found.argmax(axis=1) != small.test_labels
    sure = found.max(axis=1) >= 0.5
    assert about.mistakes[0] == (0.5, sure.sum(), wrong[sure].sum())


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (np.full((1, 16, 16, 3), 2.0), r"float `images` in \[0, 1\].*from 2 to 2"),
        (np.zeros((1, 16, 16, 3), "int64"), "`images` to be uint8.*Received: int64"),
        (np.zeros((16, 16), "uint8"), r"shape \(n, height, width, 3\).*\(16, 16\)"),
        (np.zeros((2, 16, 16, 1), "uint8"), r"Received: uint8 \(2, 16, 16, 1\)"),
        ("no.png", "Cannot read no.png: .*No such file"),
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


@pytest.mark.parametrize("first", ["color_s4l", "keras"])
def test_keras_opens_a_run_after_the_import_of_the_package(finished, python, first):
    second = {"color_s4l": "keras", "keras": "color_s4l"}[first]
    files = [
        str(pathlib.Path(finished.run_dir) / f"model.{k}") for k in ("keras", "h5")
    ]
    code = (
        f"import {first}\nimport {second}\n"
        f"for file in {files}:\n"
        "    model = keras.models.load_model(file, compile=False)\n"
        "    print(model.output_shape)\n"
    )
    done = python("-c", code)
    assert done.stdout.split("\n")[:2] == ["(None, 4)"] * 2, done.stderr
