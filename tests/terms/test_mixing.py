"""Losses of the mixing and guessing terms by hand, and what they are without it."""

import contextlib
import dataclasses
import math

import keras
import numpy as np
import pytest
from scipy import stats

from color_s4l.terms import (
    AttentionDistance,
    Exemplar,
    FixMatch,
    LabeledRotations,
    MixMatch,
    Mixup,
    Progress,
    PseudoLabel,
    PseudoLabelEpochs,
    Supervised,
)
from color_s4l.terms.exemplar import triplet_losses
from color_s4l.terms.mixmatch import sharpened
from color_s4l.terms.parts import mixing
from color_s4l.terms.pseudo_label_epochs import Guesses

OVER = Progress(np.int32(99), 100, 10)


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


class Given:
    """A network whose logits stand in the images: each is its own output."""

    def __init__(self):
        self.heads = {"class": lambda images: images}

    def __call__(self, images, training=False):
        assert training
        parts = ("class", "proxy", "pooled", "embedding", "attention")
        return dict.fromkeys(parts, keras.ops.convert_to_tensor(images))

    def random_states(self):
        return []

    @contextlib.contextmanager
    def moving_statistics_kept(self):
        yield


def logits(*probabilities):
    return np.log(np.array(probabilities, "float32"))


def loss_of(term, batch, state=None, progress=OVER):
    outcome = term.loss(Given(), batch, state, progress)
    return {name: float(numpy_of(value)) for name, value in outcome.terms.items()}


def test_mixup_by_hand():
    # Logits (0, 0) and (2 ln 3, 0), labels 0 and 1, share 1/2: both mixtures are
    # (ln 3, 0): probabilities 3/4, 1/4; the target is 1/2, 1/2. Twice of it:
    # ln(4/3) / 2 + ln(4) / 2.
    term = Mixup(weight=2)
    images = np.array([[0, 0], [2 * math.log(3), 0]], "float32")
    batch = {"labeled": images, "labels": np.array([0, 1], "int32")}
    batch["draws"] = {term: np.full((2, 1), 0.5, "float32")}
    expected = math.log(4 / 3) + math.log(4)
    assert loss_of(term, batch)["mixup_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_a_share_of_one_is_the_class_loss(count):
    rng = np.random.default_rng(1)
    term = Mixup()
    batch = {
        "labeled": rng.normal(size=(count, 3)).astype("float32"),
        "labels": np.arange(count, dtype="int32") % 3,
        "draws": {term: np.ones((count, 1), "float32")},
    }
    expected = loss_of(Supervised(), batch)["class_loss"]
    assert loss_of(term, batch)["mixup_loss"] == pytest.approx(expected, rel=1e-5)


def test_neighbours_change_places():
    assert numpy_of(mixing.swapped(np.arange(5))).tolist() == [1, 0, 3, 2, 4]


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 2.0])
def test_shares_follow_their_beta_distribution(alpha):
    seed = keras.random.SeedGenerator(5)
    shares = numpy_of(mixing.draw_shares(seed, (100, 40), alpha, True)).ravel()
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.001
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_one_share_for_all_or_one_for_each():
    seed = keras.random.SeedGenerator(5)
    assert len(np.unique(mixing.draw_shares(seed, (3, 4), 1.0, False))) == 1
    assert len(np.unique(mixing.draw_shares(seed, (3, 4), 1.0, True))) == 12


# Probabilities 9/10 and 1/10, 3/5 and 2/5: only the first is sure at 0.8.
WEAK = logits([0.9, 0.1], [0.6, 0.4])
STRONG = logits([0.5, 0.5], [0.25, 0.75])


def test_fixmatch_by_hand():
    # -ln 1/2 of the one sure image, over both: ln(2) / 2.
    found = loss_of(FixMatch(threshold=0.8), {"weak": WEAK, "strong": STRONG})
    assert found["fixmatch_loss"] == pytest.approx(math.log(2) / 2, rel=1e-5)
    # At 0.5 both are sure: and -ln 1/4.
    found = loss_of(FixMatch(threshold=0.5), {"weak": WEAK, "strong": STRONG})
    expected = (math.log(2) + math.log(4)) / 2
    assert found["fixmatch_loss"] == pytest.approx(expected, rel=1e-5)


def test_pseudo_label_by_hand():
    # -ln 9/10 of the one sure image, over both; with half of the ramp over, half.
    term, batch = PseudoLabel(threshold=0.8, weight=4), {"weak": WEAK}
    expected = 4 * -math.log(0.9) / 2
    assert loss_of(term, batch)["pseudo_label_loss"] == pytest.approx(expected)
    half = loss_of(term, batch, progress=Progress(np.int32(20), 100, 10))
    assert half["pseudo_label_loss"] == pytest.approx(expected / 2)


@pytest.mark.parametrize("term", [FixMatch, PseudoLabel, AttentionDistance])
def test_a_threshold_above_one_leaves_nothing(term):
    batch = {"weak": WEAK, "strong": STRONG}
    assert set(loss_of(term(threshold=1.01), batch).values()) == {0}


def test_attention_distance_by_hand():
    # Maps as logits: the sure image's (9/10, 1/10) from (1/2, 1/2), over both:
    # 0.9 ln 1.8 + 0.1 ln 0.2 = 0.36806.
    batch = {"weak": WEAK, "strong": STRONG}
    found = loss_of(AttentionDistance(threshold=0.8, weight=2), batch)
    assert found["attention_loss"] == pytest.approx(0.36806, rel=1e-4)


def test_an_epochs_pseudo_labels_are_those_of_the_epoch_before():
    term, state = PseudoLabelEpochs(threshold=0.8, warm_up=0.5), Guesses(3)
    batch = {"weak": WEAK, "index": np.array([2, 0], "int32")}

    def step(number):
        progress = Progress(np.int32(number), 100, 10)
        outcome = term.loss(Given(), batch, state, progress)
        term.after_update(None, state, outcome.kept, progress)
        loss = float(numpy_of(outcome.terms["pseudo_epochs_loss"]))
        return loss, numpy_of(state.labels).tolist()

    # In the warm-up nothing is guessed.
    assert step(49) == (0, [-1, -1, -1])
    # Image 2 is sure; its class counts the next time only.
    assert step(50) == (0, [-1, -1, 0])
    loss, _ = step(60)
    assert loss == pytest.approx(-math.log(0.9) / 2)
    # The set is made anew: what is no longer sure is forgotten.
    batch["weak"] = logits([0.7, 0.3], [0.1, 0.9])
    loss, labels = step(70)
    assert loss == pytest.approx(-math.log(0.7) / 2)
    assert labels == [1, -1, -1]


def mixmatch_batch(term, share, order):
    """One labelled and one unlabelled image in each of two groups."""
    rng = np.random.default_rng(1)
    names = ("labeled", "weak", "weak_2")
    batch = {name: rng.normal(size=(2, 3)).astype("float32") for name in names}
    batch["labels"] = np.array([0, 2], "int32")
    share = np.full((2, 3), share, "float32")
    batch["draws"] = {term: (share, np.array([order] * 2, "int32"))}
    return batch


def test_mixmatch_without_mixing_is_class_loss_and_distance_from_the_guess():
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


def test_mixmatch_mixes_across_groups_as_drawn():
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


def test_sharpening_by_hand():
    # (3/4, 1/4) with temperature 1/2: 9/16 and 1/16, that is 9/10 and 1/10.
    given = np.array([[0.75, 0.25]], "float32")
    assert numpy_of(sharpened(given, 0.5)) == pytest.approx(np.array([[0.9, 0.1]]))
    assert numpy_of(sharpened(given, 1.0)) == pytest.approx(given)


def test_labelled_rotations_have_the_labels_of_the_upright_image():
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


def test_exemplar_is_the_mean_of_labelled_and_unlabelled_triplets():
    rng = np.random.default_rng(1)
    labeled, crops = rng.normal(size=(2, 16, 4)).astype("float32")
    batch = {"labeled_crops": labeled, "crops": crops, "labels": np.array([1, 3])}
    found = loss_of(Exemplar(weight=3), batch)
    triplets = [numpy_of(triplet_losses(part, 8)).mean() for part in (labeled, crops)]
    assert found["exemplar_loss"] == pytest.approx(1.5 * sum(triplets), rel=1e-5)
    flat = {"labeled": labeled, "labels": np.repeat(np.array([1, 3]), 8)}
    expected = loss_of(Supervised(), flat)["class_loss"]
    assert found["crops_loss"] == pytest.approx(expected, rel=1e-5)


def test_weights_are_factors():
    batch = {"weak": WEAK, "strong": STRONG}
    for term in (FixMatch(threshold=0.5), AttentionDistance(threshold=0.5)):
        for name, value in loss_of(term, batch).items():
            heavier = dataclasses.replace(term, weight=3.0)
            assert loss_of(heavier, batch)[name] == pytest.approx(3 * value, rel=1e-5)
