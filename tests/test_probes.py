"""Solvers: equal to scikit-learn on the same features, and numbers by hand."""

import types

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from color_s4l import probes
from color_s4l.errors import InputError

pytestmark = pytest.mark.usefixtures("untraced")


def draw(classes, each=6, channels=5, seed=0):
    """Features with a different mean and spread per channel, and their labels."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each).astype("int32")
    features = random.normal(size=(len(labels), channels))
    features += 1.5 * np.eye(classes, channels)[labels]
    return (7 + features * [0.01, 1, 10, 100, 1]).astype("float32"), labels


def probabilities(head, features):
    return keras.ops.convert_to_numpy(keras.ops.softmax(head(features)))


@pytest.fixture
def lines(caplog):
    caplog.set_level("INFO", "color_s4l")
    return lambda: "\n".join(caplog.messages)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_predicts_what_scikit_learn_predicts(classes, lines):
    features, labels = draw(classes)
    head = probes.logistic_regression(features, labels, classes, seed=1)
    chosen = float(lines().partition("C = ")[2].partition(" ")[0])
    assert np.isclose(probes.STRENGTHS, chosen).sum() == 1
    assert "chosen by 5-fold cross-validation on" in lines()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=chosen, max_iter=1000))
    expected = model.fit(features.astype("float64"), labels)
    new, _ = draw(classes, seed=2)
    found = probabilities(head, new)
    assert found == pytest.approx(expected.predict_proba(new), abs=1e-4)
    assert np.ptp(found) > 0.1


def test_the_folded_layer_by_hand():
    # w (x - m) / s + b with m = (1, 2) and s = (2, 4).
    scaler = types.SimpleNamespace(mean_=np.array([1.0, 2.0]), scale_=np.array([2, 4]))
    classifier = types.SimpleNamespace(
        coef_=np.array([[2.0, 4.0], [6.0, 0.0], [0.0, 8.0]]),
        intercept_=np.array([1.0, 2.0, 3.0]),
        classes_=np.arange(3),
    )
    kernel, bias = probes._folded(scaler, classifier)
    assert kernel.tolist() == [[1, 3, 0], [1, 0, 2]]
    # 1 - (1 + 2), 2 - 3, 3 - 4.
    assert bias.tolist() == [-2, -1, -1]
    classifier.coef_, classifier.intercept_ = np.array([[2.0, 4.0]]), np.array([1.0])
    classifier.classes_ = np.arange(2)
    kernel, bias = probes._folded(scaler, classifier)
    assert kernel.tolist() == [[0, 1], [0, 1]]
    assert bias.tolist() == [0, -2]


@pytest.mark.parametrize(
    ("each", "text"),
    [
        (1, "C = 1: a class has one labelled image, which is too few"),
        (2, "chosen by 2-fold cross-validation on 6 labelled images"),
    ],
)
def test_few_labels(each, text, lines):
    features, labels = draw(3, each)
    head = probes.logistic_regression(features, labels, 3, seed=1)
    assert text in lines()
    assert (probabilities(head, features).argmax(axis=1) == labels).mean() > 0.5


def test_a_class_without_labels_is_never_predicted():
    features, labels = draw(3)
    head = probes.logistic_regression(features, labels + 1, 5, seed=1)
    found = probabilities(head, features)
    assert found.shape == (18, 5)
    assert found[:, [0, 4]].max() == 0
    assert found[:, 1:4].sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_probe_needs_two_classes():
    with pytest.raises(InputError, match=r"at least 2 classes\. Received: 1"):
        probes.logistic_regression(np.ones((4, 2)), np.zeros(4, int), 3, seed=1)


def test_neighbours_vote_as_in_scikit_learn(monkeypatch, lines):
    features, labels = draw(3, each=8)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    monkeypatch.setattr(probes, "NEIGHBOURS", (4,))
    head = probes.nearest_neighbours(features, labels, 3, seed=1)
    assert "k = 4: leave-one-out error" in lines()
    expected = KNeighborsClassifier(
        4, metric="cosine", weights=lambda distance: np.exp(-distance / 0.07)
    )
    new = features[::2] + 0.3
    found = probabilities(head, new)
    wanted = expected.fit(features, labels).predict_proba(new)
    assert found == pytest.approx(wanted, abs=1e-4)
    assert np.ptp(wanted) > 0.5


def test_the_number_of_neighbours_has_the_fewest_leave_one_out_errors():
    features, labels = draw(3, each=10)
    found = probes.leave_one_out(features, labels, 3)
    assert list(found) == [1, 2, 3, 5, 10, 20]
    for k, error in found.items():
        model = KNeighborsClassifier(
            k, metric="cosine", weights=lambda distance: np.exp(-distance / 0.07)
        )
        guesses = cross_val_predict(model, features, labels, cv=LeaveOneOut())
        assert error == pytest.approx(100 * np.mean(guesses != labels))
    best = probes.nearest_neighbours(features, labels, 3, seed=1).neighbours
    assert found[best] == min(found.values())
    assert best == min(k for k in found if found[k] == found[best])


def test_one_labelled_image_is_its_own_neighbour():
    head = probes.nearest_neighbours(np.ones((1, 2)), np.array([1]), 2, seed=1)
    assert probabilities(head, np.eye(2)).argmax(axis=1).tolist() == [1, 1]
