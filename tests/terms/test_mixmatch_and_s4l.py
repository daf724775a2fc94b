"""MixMatch and the S4L terms by hand, and what they are without mixing."""

import math

import keras
import numpy as np
import pytest

from color_s4l.terms import (
    Exemplar,
    LabeledRotations,
    MixMatch,
    Progress,
    Supervised,
)
from color_s4l.terms.exemplar import triplet_losses
from color_s4l.terms.mixmatch import sharpened

OVER = Progress(np.int32(99), 100, 10)


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def mixmatch_batch(term, share, order):
    """One labelled and one unlabelled image in each of two groups."""
    rng = np.random.default_rng(1)
    names = ("labeled", "weak", "weak_2")
    batch = {name: rng.normal(size=(2, 3)).astype("float32") for name in names}
    batch["labels"] = np.array([0, 2], "int32")
    share = np.full((2, 3), share, "float32")
    batch["draws"] = {term: (share, np.array([order] * 2, "int32"))}
    return batch


def test_mixmatch_without_mixing_is_class_loss_and_distance_from_the_guess(loss_of):
    term = MixMatch(weight=7, temperature=1.0)
    batch = mixmatch_batch(term, 1.0, [1, 2, 0])
    found = loss_of(term, batch)
    plain = loss_of(Supervised(), batch)["class_loss"]
    assert found["mixmatch_loss"] == pytest.approx(plain, rel=1e-5)
    first, second = (
        numpy_of(keras.ops.softmax(batch[name])) for name in ("weak", "weak_2")
    )
    # Both are equally far from their mean: (first - second) / 2.
    expected = 7 * np.square((first - second) / 2).mean()
    assert found["mixmatch_distance"] == pytest.approx(expected, rel=1e-4)


def test_mixmatch_mixes_across_groups_as_drawn(loss_of):
    # Order 1, 2, 0: the labelled image with the other group's first view, this one
    # with the second view, the second view with the labelled image. A share below
    # 1/2 counts from the other end: 0.25 is 0.75.
    term = MixMatch(weight=1, temperature=0.5)
    batch = mixmatch_batch(term, 0.25, [1, 2, 0])
    labels = np.eye(3)[batch["labels"]]
    views = [batch[name] for name in ("labeled", "weak", "weak_2")]
    mean = sum(numpy_of(keras.ops.softmax(view)) for view in views[1:]) / 2
    guess = mean**2 / (mean**2).sum(axis=1, keepdims=True)
    targets = [labels, guess, guess]
    entropy, squares = [], []
    for group in (0, 1):
        for place, partner in enumerate([1, 2, 0]):
            image = 0.75 * views[place][group] + 0.25 * views[partner][1 - group]
            target = 0.75 * targets[place][group] + 0.25 * targets[partner][1 - group]
            softmax = np.exp(image) / np.exp(image).sum()
            if place == 0:
                entropy.append(-(target * np.log(softmax)).sum())
            else:
                squares.append(np.square(softmax - target).mean())
    found = loss_of(term, batch)
    assert found["mixmatch_loss"] == pytest.approx(np.mean(entropy), rel=1e-4)
    assert found["mixmatch_distance"] == pytest.approx(np.mean(squares), rel=1e-4)


def moving_mean(learner):
    """Of the first normalisation."""
    trunk = learner.network.trunk
    return numpy_of(next(v for v in trunk.variables if v.name == "moving_mean"))


@pytest.mark.parametrize(
    ("bn_stats", "passes"),
    [
        ("supervised", [["labeled"]]),
        ("both", [["weak"], ["weak_2"], ["labeled", "weak", "weak_2"]]),
    ],
)
def test_mixmatch_moves_the_statistics_of_the_images_that_it_is_told(
    bn_stats, passes, make_learner
):
    term = MixMatch(bn_stats=bn_stats)
    learner, batches = make_learner((term,), epochs=5, labeled_batch=4)
    views = learner.views_of(batches.batch(0))
    share, order = views["draws"][term]
    # Of shares of 1 nothing is mixed: passes over these views do the same.
    views["draws"][term] = (keras.ops.ones_like(share), order)
    term.loss(learner.network, views, None, OVER)
    plain, _ = make_learner((term,), epochs=5, labeled_batch=4)
    for names in passes:
        images = keras.ops.concatenate([views[name] for name in names])
        plain.network(images, training=True)
    assert np.abs(moving_mean(learner)).max() > 0
    assert moving_mean(learner) == pytest.approx(moving_mean(plain), abs=1e-6)


def test_sharpening_by_hand():
    # (3/4, 1/4) with temperature 1/2: 9/16 and 1/16, that is 9/10 and 1/10.
    given = np.array([[0.75, 0.25]], "float32")
    assert numpy_of(sharpened(given, 0.5)) == pytest.approx(np.array([[0.9, 0.1]]))
    assert numpy_of(sharpened(given, 1.0)) == pytest.approx(given)


def test_labelled_rotations_have_the_labels_of_the_upright_image(loss_of):
    # Sure of class 1 in every rotation, and of each turn in turn.
    sure = np.array([[0, 30, 0, 0]] * 2, "float32")
    names = LabeledRotations().views()
    batch = dict.fromkeys(names, sure) | {"labels": np.array([1, 1], "int32")}
    found = loss_of(LabeledRotations(), batch)
    assert found["class_rotations_loss"] == pytest.approx(0, abs=1e-6)
    # As turns, one in four is right: three cost 30, weighted by 1/2.
    assert found["labeled_proxy_loss"] == pytest.approx(0.5 * 30 * 3 / 4, rel=1e-5)
    batch["labels"] = np.array([1, 2], "int32")
    found = loss_of(LabeledRotations(weight=2), batch)
    assert found["class_rotations_loss"] == pytest.approx(30, rel=1e-5)


def test_triplets_by_hand():
    # Two images of two copies, at 0 and 90 and at 90 and 180 degrees of the circle:
    # copies are sqrt(2) apart. The nearest other crop: 0 from 90: sqrt(2); 90 from
    # 90: 0. Softplus of 0 and of sqrt(2), for two crops each.
    points = np.array([[2, 0], [0, 3], [0, 1], [-5, 0]], "float32")
    found = numpy_of(triplet_losses(points, 2))
    root = math.sqrt(2)
    expected = [math.log(2), math.log1p(math.exp(root))]
    assert found == pytest.approx(
        [expected[0], expected[1], expected[1], expected[0]], rel=1e-5
    )


def test_exemplar_is_the_mean_of_labelled_and_unlabelled_triplets(loss_of):
    rng = np.random.default_rng(1)
    labeled, crops = rng.normal(size=(2, 16, 4)).astype("float32")
    batch = {"labeled_crops": labeled, "crops": crops, "labels": np.array([1, 3])}
    found = loss_of(Exemplar(weight=3), batch)
    triplets = [numpy_of(triplet_losses(part, 8)).mean() for part in (labeled, crops)]
    assert found["exemplar_loss"] == pytest.approx(1.5 * sum(triplets), rel=1e-5)
    flat = {"labeled": labeled, "labels": np.repeat(np.array([1, 3]), 8)}
    expected = loss_of(Supervised(), flat)["class_loss"]
    assert found["crops_loss"] == pytest.approx(expected, rel=1e-5)
