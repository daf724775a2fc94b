"""Losses of the mixing and guessing terms by hand, and what they are without it."""

import dataclasses
import math

import keras
import numpy as np
import pytest
from scipy import stats

from color_s4l.terms import (
    AttentionDistance,
    FixMatch,
    MixMatch,
    Mixup,
    Progress,
    PseudoLabel,
    PseudoLabelEpochs,
    Supervised,
)
from color_s4l.terms.parts import mixing
from color_s4l.terms.pseudo_label_epochs import Guesses


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def logits(*probabilities):
    return np.log(np.array(probabilities, "float32"))


def test_mixup_by_hand(loss_of):
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
def test_a_share_of_one_is_the_class_loss(count, loss_of):
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


def test_fixmatch_by_hand(loss_of):
    # -ln 1/2 of the one sure image, over both: ln(2) / 2.
    found = loss_of(FixMatch(threshold=0.8), {"weak": WEAK, "strong": STRONG})
    assert found["fixmatch_loss"] == pytest.approx(math.log(2) / 2, rel=1e-5)
    # At 0.5 both are sure: and -ln 1/4.
    found = loss_of(FixMatch(threshold=0.5), {"weak": WEAK, "strong": STRONG})
    expected = (math.log(2) + math.log(4)) / 2
    assert found["fixmatch_loss"] == pytest.approx(expected, rel=1e-5)


def test_pseudo_label_by_hand(loss_of):
    # -ln 9/10 of the one sure image, over both; with half of the ramp over, half.
    term, batch = PseudoLabel(threshold=0.8, weight=4), {"weak": WEAK}
    expected = 4 * -math.log(0.9) / 2
    assert loss_of(term, batch)["pseudo_label_loss"] == pytest.approx(expected)
    half = loss_of(term, batch, progress=Progress(np.int32(20), 100, 10))
    assert half["pseudo_label_loss"] == pytest.approx(expected / 2)


@pytest.mark.parametrize("term", [FixMatch, PseudoLabel, AttentionDistance])
def test_a_threshold_above_one_leaves_nothing(term, loss_of):
    batch = {"weak": WEAK, "strong": STRONG}
    assert set(loss_of(term(threshold=1.01), batch).values()) == {0}


def test_attention_distance_by_hand(loss_of):
    # Maps as logits: the sure image's (9/10, 1/10) from (1/2, 1/2), over both:
    # 0.9 ln 1.8 + 0.1 ln 0.2 = 0.36806.
    batch = {"weak": WEAK, "strong": STRONG}
    found = loss_of(AttentionDistance(threshold=0.8, weight=2), batch)
    assert found["attention_loss"] == pytest.approx(0.36806, rel=1e-4)


def test_an_epochs_pseudo_labels_are_those_of_the_epoch_before(given):
    term, state = PseudoLabelEpochs(threshold=0.8, warm_up=0.5), Guesses(3)
    batch = {"weak": WEAK, "index": np.array([2, 0], "int32")}

    def step(number):
        progress = Progress(np.int32(number), 100, 10)
        outcome = term.loss(given, batch, state, progress)
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


def test_weights_are_factors(loss_of):
    batch = {"weak": WEAK, "strong": STRONG}
    for term in (FixMatch(threshold=0.5), AttentionDistance(threshold=0.5)):
        for name, value in loss_of(term, batch).items():
            heavier = dataclasses.replace(term, weight=3.0)
            assert loss_of(heavier, batch)[name] == pytest.approx(3 * value, rel=1e-5)


@pytest.mark.parametrize("term", [Mixup(), MixMatch(), FixMatch(threshold=0.4)])
def test_two_devices_have_the_mean_of_their_halves(term, loss_of):
    # Four groups of three labelled and two other images; each device has two groups.
    rng = np.random.default_rng(1)
    shapes = {"labeled": (4, 3, 3), "unlabeled": (4, 2, 3)}
    batch = {
        name: rng.normal(size=shapes[source]).astype("float32")
        for name, source in (
            ("labeled", "labeled"),
            ("weak", "unlabeled"),
            ("weak_2", "unlabeled"),
            ("strong", "unlabeled"),
        )
    }
    batch["labels"] = rng.integers(0, 3, (4, 3)).astype("int32")
    drawn = term.draw(keras.random.SeedGenerator(1), shapes)

    def part(rows):
        flat = {k: v[rows].reshape(-1, *v.shape[2:]) for k, v in batch.items()}
        draws = keras.tree.map_structure(
            lambda array: None if array is None else array[rows], drawn
        )
        return loss_of(term, {**flat, "draws": {term: draws}})

    whole, first, second = (
        part(rows) for rows in (slice(0, 4), slice(0, 2), slice(2, 4))
    )
    for name, value in whole.items():
        assert value == pytest.approx((first[name] + second[name]) / 2, rel=1e-5), name
        assert first[name] != pytest.approx(second[name], rel=1e-3)
