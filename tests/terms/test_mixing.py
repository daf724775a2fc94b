"""Mixtures: their draws, their losses by hand, and the losses without mixing."""

import math

import keras
import numpy as np
import pytest
from scipy import stats

from color_s4l.terms import mixing
from color_s4l.terms.fixmatch import FixMatch
from color_s4l.terms.mixmatch import MixMatch, sharpened
from color_s4l.terms.mixup import Mixup
from color_s4l.terms.supervised import Supervised
from color_s4l.terms.term import Progress

END = Progress(np.int32(99), 100, 10)


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_mixup_by_hand(outcome_of):
    # Logits (0, 0) and (2 ln 3, 0), labels 0 and 1, share 1/2: both mixtures are
    # (ln 3, 0): probabilities 3/4, 1/4; the target is 1/2, 1/2. Twice of it:
    # ln(4/3) / 2 + ln(4) / 2.
    term = Mixup(weight=2)
    images = np.array([[0, 0], [2 * math.log(3), 0]], "float32")
    batch = {"labeled": images, "labels": np.array([0, 1], "int32")}
    batch["draws"] = {term: np.full((2, 1), 0.5, "float32")}
    expected = math.log(4 / 3) + math.log(4)
    found = outcome_of(term, batch).terms["mixup_loss"]
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_a_share_of_one_is_the_class_loss(count, outcome_of):
    term = Mixup()
    batch = {
        "labeled": np.random.default_rng(1).normal(size=(count, 3)).astype("float32"),
        "labels": np.arange(count, dtype="int32") % 3,
        "draws": {term: np.ones((count, 1), "float32")},
    }
    expected = outcome_of(Supervised(), batch).terms["class_loss"]
    found = outcome_of(term, batch).terms["mixup_loss"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_neighbours_change_places():
    assert numpy_of(mixing.swapped(np.arange(5))).tolist() == [1, 0, 3, 2, 4]


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 2.0])
def test_shares_have_a_beta_distribution(alpha):
    seed = keras.random.SeedGenerator(5)
    shares = numpy_of(mixing.draw_shares(seed, (100, 40), alpha, True)).ravel()
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.001
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_one_share_for_all_or_one_for_each():
    seed = keras.random.SeedGenerator(5)
    assert len(np.unique(mixing.draw_shares(seed, (3, 4), 1.0, False))) == 1
    assert len(np.unique(mixing.draw_shares(seed, (3, 4), 1.0, True))) == 12


@pytest.mark.parametrize("term", [Mixup(), MixMatch(), FixMatch(threshold=0.4)])
def test_two_devices_have_the_mean_of_their_halves(term, outcome_of):
    # Four groups of three labelled and two unlabelled images; each device has two.
    rng = np.random.default_rng(1)
    shapes = {"labeled": (4, 3, 3), "unlabeled": (4, 2, 3)}
    sources = {"labeled": "labeled"}
    sources |= dict.fromkeys(("weak", "weak_2", "strong"), "unlabeled")
    batch = {
        name: rng.normal(size=shapes[source]).astype("float32")
        for name, source in sources.items()
    }
    batch["labels"] = rng.integers(0, 3, (4, 3)).astype("int32")
    drawn = term.draw(keras.random.SeedGenerator(1), shapes)

    def part(rows):
        flat = {k: v[rows].reshape(-1, *v.shape[2:]) for k, v in batch.items()}
        draws = keras.tree.map_structure(
            lambda array: None if array is None else array[rows], drawn
        )
        return outcome_of(term, {**flat, "draws": {term: draws}}).terms

    whole, first, second = (
        part(rows) for rows in (slice(0, 4), slice(0, 2), slice(2, 4))
    )
    for name, value in whole.items():
        assert value == pytest.approx((first[name] + second[name]) / 2, rel=1e-5), name
        assert first[name] != pytest.approx(second[name], rel=1e-3)


def mixmatch_batch(term, share):
    """One labelled and one unlabelled image in each of two groups."""
    rng = np.random.default_rng(1)
    names = ("labeled", "weak", "weak_2")
    batch = {name: rng.normal(size=(2, 3)).astype("float32") for name in names}
    batch["labels"] = np.array([0, 2], "int32")
    order = np.array([[1, 2, 0]] * 2, "int32")
    batch["draws"] = {term: (np.full((2, 3), share, "float32"), order)}
    return batch


def test_mixmatch_without_mixing_is_class_loss_and_distance_from_the_guess(outcome_of):
    term = MixMatch(weight=7, temperature=1.0)
    batch = mixmatch_batch(term, 1.0)
    found = outcome_of(term, batch).terms
    plain = outcome_of(Supervised(), batch).terms["class_loss"]
    assert found["mixmatch_loss"] == pytest.approx(plain, rel=1e-5)
    first, second = (
        numpy_of(keras.ops.softmax(batch[name])) for name in ("weak", "weak_2")
    )
    # Both have the same distance from their mean: (first - second) / 2.
    expected = 7 * np.square((first - second) / 2).mean()
    assert found["mixmatch_distance"] == pytest.approx(expected, rel=1e-4)


def test_mixmatch_mixes_across_groups_as_drawn(outcome_of):
    # Order 1, 2, 0: the labelled image with the other group's first view, this one
    # with the second view, the second view with the labelled image. The share 0.25
    # counts as 0.75: an image has at least half of its mixture.
    term = MixMatch(weight=1, temperature=0.5)
    batch = mixmatch_batch(term, 0.25)
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
    found = outcome_of(term, batch).terms
    assert found["mixmatch_loss"] == pytest.approx(np.mean(entropy), rel=1e-4)
    assert found["mixmatch_distance"] == pytest.approx(np.mean(squares), rel=1e-4)


def moving_mean(learner):
    """The moving mean of the first batch normalisation."""
    trunk = learner.network.trunk
    return numpy_of(next(v for v in trunk.variables if v.name == "moving_mean"))


@pytest.mark.parametrize(
    ("bn_stats", "passes"),
    [
        ("supervised", [["labeled"]]),
        ("both", [["weak"], ["weak_2"], ["labeled", "weak", "weak_2"]]),
    ],
)
def test_mixmatch_updates_the_statistics_with_the_passes_that_bn_stats_names(
    bn_stats, passes, make_learner
):
    term = MixMatch(bn_stats=bn_stats)
    learner, batches = make_learner((term,), epochs=5, labeled_batch=4)
    views = learner.views_of(batches.batch(0))
    share, order = views["draws"][term]
    # With shares of 1 nothing is mixed: passes over these views have the same effect.
    views["draws"][term] = (keras.ops.ones_like(share), order)
    term.loss(learner.network, views, None, END)
    plain, _ = make_learner((term,), epochs=5, labeled_batch=4)
    for names in passes:
        images = keras.ops.concatenate([views[name] for name in names])
        plain.network(images, training=True)
    assert np.abs(moving_mean(learner)).max() > 0
    assert moving_mean(learner) == pytest.approx(moving_mean(plain), abs=1e-6)


def test_sharpening():
    # (3/4, 1/4) with temperature 1/2: 9/16 and 1/16, that is 9/10 and 1/10.
    given = np.array([[0.75, 0.25]], "float32")
    assert numpy_of(sharpened(given, 0.5)) == pytest.approx(np.array([[0.9, 0.1]]))
    assert numpy_of(sharpened(given, 1.0)) == pytest.approx(given)
