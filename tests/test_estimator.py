"""The scikit-learn estimator, and `fit` on arrays."""

import dataclasses
import pickle

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import color_s4l
from color_s4l import InputError, SemiSupervisedClassifier

TINY = {"width": 0.03, "epochs": 1, "batch_size": 12, "jit_compile": False}


@pytest.fixture(scope="module")
def arrays(small):
    """Images with labels for a third of them, -1 for the others."""
    labels = np.array(small.labels)
    labels[np.arange(len(labels)) % 3 > 0] = -1
    return small.images, labels


@pytest.fixture(scope="module")
def fitted(arrays):
    """An estimator that has been trained once."""
    images, labels = arrays
    names = np.array(["cat", "dog", "owl", "rat", -1], dtype=object)[labels]
    return SemiSupervisedClassifier("sesemi", **TINY).fit(images, names)


def test_predictions_are_classes(fitted, small):
    probabilities = fitted.predict_proba(small.test_images)
    assert list(fitted.classes_) == ["cat", "dog", "owl", "rat"]
    assert probabilities.shape == (len(small.test_images), 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    best = fitted.classes_[probabilities.argmax(axis=1)]
    assert (fitted.predict(small.test_images) == best).all()
    assert fitted.predict(small.test_images[:0]).shape == (0,)


def test_float_and_uint8_images_are_the_same(fitted, small):
    images = small.test_images[:4]
    again = fitted.predict_proba(images / np.float32(255))
    np.testing.assert_allclose(again, fitted.predict_proba(images), atol=1e-6)


def test_score_ignores_unlabelled_images(fitted, small):
    images = small.test_images
    truth = fitted.predict(images).astype(object)
    truth[1::2] = -1
    assert fitted.score(images, truth) == 1
    truth[0] = next(name for name in fitted.classes_ if name != truth[0])
    assert fitted.score(images, truth[:, None]) == pytest.approx(1 - 2 / len(truth))


def test_a_pickled_estimator_predicts_the_same(fitted, small):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(
        again.predict_proba(small.test_images), fitted.predict_proba(small.test_images)
    )
    assert again.get_params() == fitted.get_params()


def test_clones_have_the_parameters_and_no_classifier(fitted):
    other = clone(fitted).set_params(epochs=7)
    assert other.get_params() == {**fitted.get_params(), "epochs": 7}
    assert not hasattr(other, "classifier_")


def test_cross_validation_and_grid_search(arrays):
    images, labels = arrays
    estimator = SemiSupervisedClassifier("supervised", **TINY)
    scores = cross_val_score(estimator, images, labels, cv=2, error_score="raise")
    assert scores.shape == (2,)
    assert ((scores >= 0) & (scores <= 1)).all()
    search = GridSearchCV(estimator, {"width": [0.02, 0.03]}, cv=2, error_score="raise")
    search.fit(images, labels)
    assert search.best_params_["width"] in (0.02, 0.03)
    assert search.predict(images[:3]).dtype == labels.dtype


def test_wrong_arrays_are_refused(arrays):
    images, labels = arrays
    estimator = SemiSupervisedClassifier(**TINY)
    with pytest.raises(InputError, match="Received: only -1"):
        estimator.fit(images, np.full(len(images), -1))
    with pytest.raises(InputError, match=r"`y` to have shape \(n,\)"):
        estimator.fit(images, np.eye(4)[labels])
    with pytest.raises(InputError, match="There is no method 'fixmach'"):
        SemiSupervisedClassifier("fixmach", **TINY).fit(images, labels)


def test_given_parameters_have_priority_over_the_preset():
    fast = color_s4l.preset("fast", dropout=0.5, seed=3, run_dir="run")
    estimator = SemiSupervisedClassifier(preset="fast", dropout=0.5, random_state=3)
    assert estimator._run("run") == dataclasses.replace(fast, verbosity=0)
    assert SemiSupervisedClassifier()._run("run").method == color_s4l.Run.method
    with pytest.raises(InputError, match="There is no preset 'fats'"):
        SemiSupervisedClassifier(preset="fats")._run("run")


def test_fit_takes_arrays_and_callbacks(arrays, small, tmp_path):
    class Epochs(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append((epoch, "test_error" in logs))

    data = color_s4l.Data.from_arrays(
        *arrays, small.test_images, small.test_labels, class_names=("a", "b", "c", "d")
    )
    run = color_s4l.Run(method="supervised", run_dir=str(tmp_path / "run"), **TINY)
    epochs = Epochs()
    result = color_s4l.fit(run, data=data, callbacks=[epochs])
    assert epochs.seen == [(0, True)]
    assert result["test_images"] == len(small.test_images)
    assert result["labels"] == 16
    assert result["unlabeled"] == len(small.images)
    classifier = color_s4l.load(result["run_dir"])
    assert classifier.classes == ("a", "b", "c", "d")
    measured = classifier.error_rate(small.test_images, small.test_labels)
    assert measured == pytest.approx(result["error"])


def test_without_test_images_no_error_is_reported(arrays, tmp_path, caplog):
    data = color_s4l.Data.from_arrays(*arrays)
    run = color_s4l.Run(
        method="supervised", validation=4, run_dir=str(tmp_path / "run"), **TINY
    )
    with caplog.at_level("INFO", logger="color_s4l"):
        result = color_s4l.fit(run, data=data)
    assert result["error"] is None
    assert result["test_images"] == 0
    assert "not measured: there are no test images" in caplog.text
