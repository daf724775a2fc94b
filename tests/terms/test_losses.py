"""Losses of the terms, by hand."""

import math

import keras
import numpy as np
import pytest

from color_s4l.errors import InputError
from color_s4l.terms import Progress, losses
from color_s4l.terms.adaptive import AdaMatch, AlignedFixMatch, FreeMatch, SoftMatch
from color_s4l.terms.attention import AttentionDistance
from color_s4l.terms.balanced_classifier import BalancedClassifier, Counts
from color_s4l.terms.entropy import Entropy
from color_s4l.terms.exemplar import Exemplar, triplet_losses
from color_s4l.terms.fixmatch import FixMatch
from color_s4l.terms.labeled_rotations import LabeledRotations
from color_s4l.terms.memory import Memory
from color_s4l.terms.memory_assisted import Prototypes
from color_s4l.terms.pi_model import PiModel
from color_s4l.terms.proxies import COLOR_S4L, SESEMI, Proxies
from color_s4l.terms.pseudo_label import PseudoLabel
from color_s4l.terms.pseudo_label_epochs import PseudoLabelEpochs
from color_s4l.terms.relabeled import Relabeled
from color_s4l.terms.supervised import Supervised
from color_s4l.terms.temporal_consistency import TemporalConsistency
from color_s4l.terms.temporal_ensembling import Ensemble, TemporalEnsembling
from color_s4l.terms.vat import Vat, unit


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def logits(*probabilities):
    return np.log(np.array(probabilities, "float32"))


def integers(*values):
    return np.array(values, "int32")


# Probabilities 9/10 and 1/10, 3/5 and 2/5: only the first is confident at 0.8.
VIEWS = {
    "weak": logits([0.9, 0.1], [0.6, 0.4]),
    "strong": logits([0.5, 0.5], [0.25, 0.75]),
}


@pytest.mark.parametrize(
    ("step", "sigmoid", "linear"),
    [(0, -5, 0), (10, -1.25, 0.5), (20, 0, 1), (39, 0, 1)],
)
def test_ramps(step, sigmoid, linear):
    # exp(-5 (1 - t)^2) at t = 0, 1/2 and 1; the linear one is t.
    progress = Progress(np.int32(step), 40, 10)
    assert float(progress.ramp("sigmoid", 0.5)) == pytest.approx(math.exp(sigmoid))
    assert float(progress.ramp("linear", 0.5)) == linear
    assert float(progress.ramp("linear", 0.0)) == 1


def test_distances():
    first, second = np.array([[0.75, 0.25]]), np.array([[0.5, 0.5]])
    # (1/16 + 1/16) / 2
    found = losses.squared_distance(first, second)
    assert numpy_of(found) == pytest.approx([1 / 16])
    # KL((1/2, 1/2) || (3/4, 1/4)) = (ln 2/3 + ln 2) / 2
    found = losses.divergence(logits([0.5, 0.5]), logits([0.75, 0.25]))
    assert numpy_of(found) == pytest.approx([math.log(4 / 3) / 2], rel=1e-5)
    found = losses.entropy(logits([0.5, 0.5], [0.75, 0.25]))
    quarter = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert numpy_of(found) == pytest.approx([math.log(2), quarter], rel=1e-5)
    with pytest.raises(ValueError, match=r"one shape. Received: \(1, 2\) and \(2,\)"):
        losses.squared_distance(first, second[0])


@pytest.mark.parametrize(
    ("term", "factors", "expected"),
    [
        # (ln 4/3 + ln 2) / 2 = ln(8/3) / 2
        (Supervised(weight=2), None, math.log(8 / 3)),
        # Targets 3/4, 1/4 and 1/4, 3/4.
        (
            Supervised(label_smoothing=0.5),
            None,
            (0.75 * math.log(4 / 3) + 0.25 * math.log(4) + math.log(2)) / 2,
        ),
        # Class weights 1/2 and 3.
        (Supervised(), [0.5, 3], (math.log(4 / 3) / 2 + 3 * math.log(2)) / 2),
    ],
)
def test_supervised(term, factors, expected, outcome_of):
    # Probabilities 3/4, 1/4 (label 0) and 1/2, 1/2 (label 1). The second argmax is 0:
    # wrong. The error counts every image alike.
    batch = {"labeled": logits([0.75, 0.25], [0.5, 0.5]), "labels": integers(0, 1)}
    if factors:
        batch["label_weights"] = np.array(factors, "float32")
    found = outcome_of(term, batch)
    assert found.terms["class_loss"] == pytest.approx(expected, rel=1e-6)
    assert found.watch["train_error"] == pytest.approx(50)


def test_proxies(outcome_of):
    # Two tasks of two images. Task 0 (label 0): probabilities 1/2 and 3/4;
    # task 1 (label 1): 3/4 and 1/4. Mean of ln 2, ln 4/3, ln 4/3, ln 4.
    views = {
        "identity": logits([0.5, 0.5], [0.75, 0.25]),
        "colorized": logits([0.25, 0.75], [0.75, 0.25]),
    }
    found = outcome_of(Proxies(tasks=("identity", "colorized"), weight=0.5), views)
    expected = (math.log(2) + 2 * math.log(4 / 3) + math.log(4)) / 4
    assert found.terms["proxy_loss"] == pytest.approx(0.5 * expected, rel=1e-6)
    assert found.watch["proxy_error"] == pytest.approx(25)


def test_drawn_views_of_each_image(outcome_of):
    term = Proxies(tasks=("identity", "colorized"), views_per_image=1)
    views = {
        "identity": logits([0.5, 0.5], [0.75, 0.25]),
        "colorized": logits([0.25, 0.75], [0.875, 0.125]),
    }
    # Image 0 as task 1 (probability 3/4), image 1 as task 0 (3/4).
    draws = {term: np.array([[[1], [0]]], "int32")}
    found = outcome_of(term, {**views, "draws": draws})
    assert found.terms["proxy_loss"] == pytest.approx(math.log(4 / 3), rel=1e-5)
    # Both as task 1: 3/4 and 1/8.
    draws = {term: np.array([[[1], [1]]], "int32")}
    found = outcome_of(term, {**views, "draws": draws})
    expected = (math.log(4 / 3) + math.log(8)) / 2
    assert found.terms["proxy_loss"] == pytest.approx(expected, rel=1e-5)
    assert found.watch["proxy_error"] == pytest.approx(50)


def test_every_view_is_drawn_equally_often_and_none_twice():
    term = Proxies(views_per_image=3)
    shapes = {"labeled": (2, 1, 8, 8, 3), "unlabeled": (2, 700, 8, 8, 3)}
    drawn = numpy_of(term.draw(keras.random.SeedGenerator(1), shapes))
    assert drawn.shape == (2, 700, 3)
    assert all(len(set(row)) == 3 for row in drawn.reshape(-1, 3))
    # 600 of each, with a standard deviation of 18.5.
    assert np.abs(np.bincount(drawn.ravel(), minlength=7) - 600).max() < 90
    assert term.unread_views() == 4
    assert Proxies().draw(keras.random.SeedGenerator(1), shapes) is None


def test_the_position_of_a_task_is_its_label(outcome_of):
    views = {task: np.zeros((2, 7), "float32") for task in COLOR_S4L}
    for label, task in enumerate(COLOR_S4L):
        views[task][:, label] = 50
    found = outcome_of(Proxies(), views)
    assert found.terms["proxy_loss"] == pytest.approx(0, abs=1e-6)
    assert found.watch["proxy_error"] == 0
    # Equal logits: ln 7; argmax 0 is one label of seven.
    found = outcome_of(Proxies(), {task: np.ones((3, 7)) for task in COLOR_S4L})
    assert found.terms["proxy_loss"] == pytest.approx(math.log(7))
    assert found.watch["proxy_error"] == pytest.approx(100 * 6 / 7)
    assert COLOR_S4L.index("colorized") == 6
    assert Proxies(tasks=SESEMI).heads(10) == {"proxy": 6}


@pytest.mark.parametrize(("bn_stats", "times"), [("both", 0), ("supervised", 1)])
def test_the_moving_statistics_are_kept_only_if_asked(bn_stats, times, given):
    network, zeros = given(), np.zeros((1, 7), "float32")
    views = dict.fromkeys((*COLOR_S4L, "weak", "weak_2"), zeros)
    for term in (Proxies(bn_stats=bn_stats), PiModel(bn_stats=bn_stats)):
        term.loss(network, views, None, Progress(np.int32(0), 1, 1))
    assert (network.kept, network.passes) == (3 * times, 3)


def test_labelled_rotations_have_the_label_of_the_upright_image(outcome_of):
    # Certain of class 1 in every rotation.
    certain = np.array([[0, 30, 0, 0]] * 2, "float32")
    batch = dict.fromkeys(LabeledRotations().views(), certain)
    found = outcome_of(LabeledRotations(), {**batch, "labels": integers(1, 1)})
    assert found.terms["class_rotations_loss"] == pytest.approx(0, abs=1e-6)
    # As rotations, one in four is right: the others cost 30, weighted by 1/2.
    expected = 0.5 * 30 * 3 / 4
    assert found.terms["labeled_proxy_loss"] == pytest.approx(expected, rel=1e-5)
    found = outcome_of(LabeledRotations(weight=2), {**batch, "labels": integers(1, 2)})
    assert found.terms["class_rotations_loss"] == pytest.approx(30, rel=1e-5)
    assert found.watch["rotations_error"] == pytest.approx(50)


def test_a_memory_moves_to_the_labelled_images():
    memory = Prototypes(2, 1)
    # Two images of class 1 with the mean 3: 2 / 3 of the way, times the rate.
    features, predictions = np.array([[2.0], [4.0]]), np.array([[0.0, 1.0]] * 2)
    memory.move(np.array([1, 1]), features, predictions, 0.5)
    np.testing.assert_allclose(memory.keys, [[0], [1]], rtol=1e-6)
    # From 1/2: by 1/3 of the differences -1/2 and 1/2.
    np.testing.assert_allclose(memory.values, [[1 / 2] * 2, [1 / 3, 2 / 3]], rtol=1e-6)
    near = 1 / (1 + np.exp(-1))  # distances 1 and 0
    expected = near * np.array([1 / 3, 2 / 3]) + (1 - near) * 0.5
    found = memory.read(np.array([[1.0]], "float32"))
    np.testing.assert_allclose(numpy_of(found)[0], expected, rtol=1e-6)


def test_triplets():
    # Two images of two copies, at 0 and 90 and at 90 and 180 degrees of the circle:
    # copies are sqrt(2) apart. The nearest other crop: 0 from 90: sqrt(2); 90 from
    # 90: 0. Softplus of 0 and of sqrt(2), for two crops each.
    points = np.array([[2, 0], [0, 3], [0, 1], [-5, 0]], "float32")
    one, other = math.log(2), math.log1p(math.exp(math.sqrt(2)))
    found = numpy_of(triplet_losses(points, 2))
    assert found == pytest.approx([one, other, other, one], rel=1e-5)
    # The nearest other crop that is farther than the copy: 180 from 0: 2. None is
    # farther from 90; the farthest other crop is as far away as the copy.
    found = numpy_of(triplet_losses(points, 2, "semi_hard"))
    semi = math.log1p(math.exp(math.sqrt(2) - 2))
    assert found == pytest.approx([semi, one, one, semi], rel=1e-5)


def test_exemplar_is_the_mean_of_labelled_and_unlabelled_triplets(outcome_of):
    labeled, crops = np.random.default_rng(1).normal(size=(2, 16, 4)).astype("float32")
    batch = {"labeled_crops": labeled, "crops": crops, "labels": integers(1, 3)}
    found = outcome_of(Exemplar(weight=3), batch).terms
    triplets = [numpy_of(triplet_losses(part, 8)).mean() for part in (labeled, crops)]
    assert found["exemplar_loss"] == pytest.approx(1.5 * sum(triplets), rel=1e-5)
    flat = {"labeled": labeled, "labels": np.repeat(integers(1, 3), 8)}
    expected = outcome_of(Supervised(), flat).terms["class_loss"]
    assert found["crops_loss"] == pytest.approx(expected, rel=1e-5)
    alone = outcome_of(Exemplar(class_weight=0.0), {"crops": crops}).terms
    assert alone == {"exemplar_loss": pytest.approx(triplets[1], rel=1e-5)}


def test_pi_model(outcome_of):
    # Squared distances 1/16 and 0, mean 1/32.
    views = {
        "weak": logits([0.75, 0.25], [0.9, 0.1]),
        "weak_2": logits([0.5, 0.5], [0.9, 0.1]),
    }
    found = outcome_of(PiModel(weight=100), views).terms["pi_model_loss"]
    assert found == pytest.approx(100 / 32, rel=1e-5)
    start = Progress(np.int32(0), 100, 10)
    found = outcome_of(PiModel(weight=32), views, progress=start)
    assert found.terms["pi_model_loss"] == pytest.approx(math.exp(-5), rel=1e-4)


def test_entropy(outcome_of):
    found = outcome_of(Entropy(weight=2), {"weak": np.zeros((3, 10), "float32")})
    assert found.terms["entropy_loss"] == pytest.approx(2 * math.log(10))
    assert found.watch["entropy"] == pytest.approx(math.log(10))


def test_temporal_ensembling(given, outcome_of):
    # Decay 0.6. After one prediction the corrected mean is the prediction; after two
    # (0.24 p1 + 0.4 p2) / 0.64 = 0.375 p1 + 0.625 p2.
    term, ensemble = TemporalEnsembling(), Ensemble(4, 2)
    ensemble.move(integers(0, 3), np.array([[1, 0], [0.5, 0.5]], "float32"), 0.6)
    ensemble.move(integers(0), np.array([[0, 1]], "float32"), 0.6)
    targets, known = ensemble.targets(integers(3, 1, 0), 0.6)
    expected = np.array([[0.5, 0.5], [0, 0], [0.375, 0.625]])
    assert numpy_of(targets) == pytest.approx(expected, rel=1e-5)
    assert numpy_of(known).tolist() == [1, 0, 1]
    # Image 1 has no prediction yet; image 3 has 1/16 from (1/2, 1/2).
    views = {"weak": logits([0.9, 0.1], [0.75, 0.25]), "index": integers(1, 3)}
    found = outcome_of(term, views, ensemble)
    assert found.terms["ensembling_loss"] == pytest.approx(30 / 32, rel=1e-5)
    term.after_update(given(), ensemble, found.kept, None)
    targets, _ = ensemble.targets(integers(1), 0.6)
    assert numpy_of(targets) == pytest.approx(np.array([[0.9, 0.1]]), rel=1e-5)
    assert numpy_of(ensemble.updates.rows).tolist() == [2, 1, 0, 2]


def test_temporal_consistency(given, outcome_of):
    # Predicted 3/4, 1/4 and 1/2, 1/2. Image 2 was 1/4, 3/4 in the last epoch; image 0
    # has not been seen.
    views = {"weak": logits([0.75, 0.25], [0.5, 0.5]), "index": integers(2, 0)}
    term, state = TemporalConsistency(weight=3), Memory(4, (2,))
    assert outcome_of(term, views, state).terms["temporal_loss"] == 0
    state.write(integers(2), logits([0.25, 0.75]))
    divergence = 0.25 * math.log(0.25 / 0.75) + 0.75 * math.log(0.75 / 0.25)
    found = outcome_of(term, views, state)
    expected = pytest.approx(3 * divergence / 2, rel=1e-5)
    assert found.terms["temporal_loss"] == expected
    # The same predictions again: no divergence.
    term.after_update(given(), state, found.kept, None)
    found = outcome_of(term, views, state).terms["temporal_loss"]
    assert found == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("hard", "expected"),
    [
        # -ln 1/4 and -ln 1/2: ln 8 / 2.
        (True, math.log(8) / 2),
        # The first: 1/4 ln 4/3 + 3/4 ln 4.
        (False, (0.25 * math.log(4 / 3) + 0.75 * math.log(4) + math.log(2)) / 2),
    ],
)
def test_relabeled(hard, expected, outcome_of):
    # Predicted 3/4, 1/4 and 1/2, 1/2; the targets are 1/4, 3/4 and 1, 0.
    views = {
        "weak": logits([0.75, 0.25], [0.5, 0.5]),
        "targets": np.array([[0.25, 0.75], [1, 0]], "float32"),
    }
    found = outcome_of(Relabeled(weight=2, hard=hard), views)
    assert found.terms["relabeled_loss"] == pytest.approx(2 * expected, rel=1e-5)
    # The first prediction differs from its target; the second argmax is 0.
    assert found.watch["relabeled_error"] == pytest.approx(50)


@pytest.mark.parametrize("xi", [1e-6, 0.01])
def test_vat_finds_the_worst_direction_of_a_linear_network(xi, given, outcome_of):
    # Two classes, x = 0: p = 1/2, and the logits' difference is x (w1 - w2). The worst
    # x of length 2 lies along (w1 - w2) = (0, 3, -4) and changes it by 10:
    # KL = -ln(2 sqrt(s (1 - s))), s = 1 / (1 + e^-10), whatever its sign.
    term = Vat(epsilon=2.0, xi=xi)
    network = given(np.array([[1.0, 1], [1, -2], [-1, 3]], "float32"))
    draws = np.random.default_rng(0).normal(size=(2, 2, 3)).astype("float32")
    views = {"weak": np.zeros((4, 3), "float32"), "draws": {term: {"weak": draws}}}
    found = outcome_of(term, views, network=network)
    share = 1 / (1 + math.exp(-10))
    expected = -math.log(2 * math.sqrt(share * (1 - share)))
    assert found.terms["vat_loss"] == pytest.approx(expected, rel=1e-4)
    assert network.passes == 3


def test_vat_is_off_during_its_warm_up(given, outcome_of):
    term = Vat(epsilon=2.0, xi=0.01, warm_up=0.5)
    network = given(np.array([[1.0, 1], [1, -2], [-1, 3]], "float32"))
    draws = {term: {"weak": np.ones((1, 4, 3), "float32")}}
    views = {"weak": np.zeros((4, 3), "float32"), "draws": draws}
    before, after = (
        outcome_of(term, views, None, Progress(np.int32(step), 100, 10), network)
        for step in (49, 50)
    )
    assert before.terms["vat_loss"] == 0
    assert after.terms["vat_loss"] == after.watch["vat_divergence"] > 0


def test_unit_vectors_do_not_vanish():
    found = numpy_of(unit(np.array([[3e-30, 4e-30], [0, 0]], "float32")))
    assert found == pytest.approx(np.array([[0.6, 0.8], [0, 0]]), rel=1e-5)


def test_vat_refuses_a_change_that_half_precision_loses():
    class Half:
        compute_dtype = "bfloat16"

    text = "vat.xi=1e-06 is rounded away in bfloat16: use `set`=vat.xi=10 or more"
    with pytest.raises(InputError, match=text):
        Vat().create_state(Half(), 1)
    assert Vat(xi=10.0).create_state(Half(), 1) is None


@pytest.mark.parametrize(
    ("term", "name", "expected"),
    [
        # -ln 1/2 of the one confident image, over both.
        (FixMatch(threshold=0.8), "fixmatch_loss", math.log(2) / 2),
        # At 0.5 both are confident: -ln 1/4 too.
        (FixMatch(threshold=0.5), "fixmatch_loss", math.log(8) / 2),
        (FixMatch(threshold=0.5, weight=3), "fixmatch_loss", 3 * math.log(8) / 2),
        # -ln 9/10 of the one confident image, over both.
        (PseudoLabel(threshold=0.8, weight=4), "pseudo_label_loss", -2 * math.log(0.9)),
        # Maps as logits: (9/10, 1/10) from (1/2, 1/2): 0.9 ln 1.8 + 0.1 ln 0.2.
        (AttentionDistance(threshold=0.8, weight=2), "attention_loss", 0.36806),
        # Above 1 no image is confident.
        (FixMatch(threshold=1.01), "fixmatch_loss", 0),
        (PseudoLabel(threshold=1.01), "pseudo_label_loss", 0),
        (AttentionDistance(threshold=1.01), "attention_loss", 0),
    ],
)
def test_terms_with_a_threshold(term, name, expected, outcome_of):
    found = outcome_of(term, VIEWS).terms
    assert found == {name: pytest.approx(expected, rel=1e-4)}


class Averages:
    """The state of an adaptive term, with given averages."""

    def __init__(self, **averages):
        self.of = {n: np.array(v, "float32") for n, v in averages.items()}


@pytest.mark.parametrize(
    ("averages", "accepted"),
    [
        # Thresholds 0.8 for class 0, and 0.8 times 1/4 for class 1: confidences 0.9
        # and 0.6, both of class 0.
        ({"confidence": 0.8, "predicted": [0.8, 0.2]}, [1, 0]),
        # 0.8 times 1/4 for class 0.
        ({"confidence": 0.8, "predicted": [0.2, 0.8]}, [1, 1]),
        ({"confidence": 0.95, "predicted": [0.5, 0.5]}, [0, 0]),
    ],
)
def test_freematch(averages, accepted, outcome_of):
    state = Averages(**averages, labels=[0.5, 0.5])
    found = outcome_of(FreeMatch(fairness=0.0), VIEWS, state)
    # -ln 1/2 and -ln 1/4 of the strong views.
    entropy = np.dot(accepted, [math.log(2), math.log(4)]) / 2
    assert found.terms["freematch_loss"] == pytest.approx(entropy, rel=1e-5)
    assert found.watch["freematch_labeled"] == pytest.approx(50 * sum(accepted))


def test_the_fairness_of_freematch(outcome_of):
    # Both images count. Predicted by share of labels: (0.6 / 0.5, 0.4 / 0.5) gives the
    # target (0.6, 0.4). The strong views: mean (3/8, 5/8); argmax 0 and 1.
    state = Averages(confidence=0.5, predicted=[0.6, 0.4], labels=[0.5, 0.5])
    found = outcome_of(FreeMatch(fairness=2.0), VIEWS, state)
    expected = 0.6 * math.log(3 / 8) + 0.4 * math.log(5 / 8)
    assert found.terms["freematch_fairness"] == pytest.approx(2 * expected, rel=1e-4)
    # No image counts.
    state.of["confidence"] = np.float32(2)
    found = outcome_of(FreeMatch(fairness=2.0), VIEWS, state)
    assert found.terms == {"freematch_loss": 0, "freematch_fairness": 0}


def test_softmatch(outcome_of):
    # Even predictions so far. 0.9 is above the mean 0.8; 0.6 is 0.2 below it:
    # exp(-0.04 / (2 * 0.01 / 4)) = exp(-8).
    state = Averages(predicted=[0.5, 0.5], confidence=0.8, variance=0.01)
    found = outcome_of(SoftMatch(), VIEWS, state)
    expected = (math.log(2) + math.exp(-8) * math.log(4)) / 2
    assert found.terms["softmatch_loss"] == pytest.approx(expected, rel=1e-4)
    # One deviation: exp(-0.04 / 0.02) = exp(-2).
    found = outcome_of(SoftMatch(deviations=1.0), VIEWS, state)
    expected = (math.log(2) + math.exp(-2) * math.log(4)) / 2
    assert found.terms["softmatch_loss"] == pytest.approx(expected, rel=1e-4)
    # Predictions of (0.9, 0.1) so far: aligned, the first image is even (0.5), the
    # second (0.6 / 0.9, 0.4 / 0.1) = (1/7, 6/7). The labels stay 0 and 0.
    state = Averages(predicted=[0.9, 0.1], confidence=0.8, variance=0.01)
    found = outcome_of(SoftMatch(), VIEWS, state)
    expected = (math.exp(-18) * math.log(2) + math.log(4)) / 2
    assert found.terms["softmatch_loss"] == pytest.approx(expected, rel=1e-4)


def test_adamatch(outcome_of):
    # Labelled confidences 0.9 and 0.7, mean 0.8; threshold 0.64.
    views = {**VIEWS, "labeled": logits([0.9, 0.1], [0.3, 0.7])}
    state = Averages(predicted=[0.5, 0.5], labeled=[0.5, 0.5])
    found = outcome_of(AdaMatch(threshold=0.8), views, state)
    assert found.terms["adamatch_loss"] == pytest.approx(math.log(2) / 2, rel=1e-4)
    # Aligned to (1/2, 1/2) from (0.9, 0.1): even, and (1/7, 6/7) with label 1.
    state = Averages(predicted=[0.9, 0.1], labeled=[0.5, 0.5])
    found = outcome_of(AdaMatch(threshold=0.8), views, state)
    assert found.terms["adamatch_loss"] == pytest.approx(-math.log(0.75) / 2, rel=1e-4)
    # A quarter of the run: half of the first half, (1 - cos(pi / 2)) / 2.
    found = outcome_of(AdaMatch(threshold=0.8), views, state, Progress(25, 100, 10))
    assert found.terms["adamatch_loss"] == pytest.approx(-math.log(0.75) / 4, rel=1e-4)


def test_fixmatch_with_distribution_alignment(outcome_of):
    views = {**VIEWS, "labels": integers(0, 1, 1)}
    term = AlignedFixMatch(threshold=0.8)
    # Equal averages: the predictions stay; only the first reaches the threshold.
    state = Averages(predicted=[0.7, 0.3], labeled=[0.7, 0.3])
    found = outcome_of(term, views, state)
    expected = pytest.approx(math.log(2) / 2, rel=1e-4)
    assert found.terms["fixmatch_aligned_loss"] == expected
    # Aligned to (1/2, 1/2) from (0.9, 0.1): even, and (1/7, 6/7) with label 1.
    state = Averages(predicted=[0.9, 0.1], labeled=[0.5, 0.5])
    found = outcome_of(term, views, state)
    expected = pytest.approx(-math.log(0.75) / 2, rel=1e-4)
    assert found.terms["fixmatch_aligned_loss"] == expected
    # The averages move to the mean prediction and to the labels' shares 1/3 and 2/3.
    predictions = numpy_of(found.kept["fixmatch_aligned_predictions"])
    values = term.statistics(state, predictions, found.kept)
    assert numpy_of(values["predicted"]) == pytest.approx([0.75, 0.25], rel=1e-4)
    assert numpy_of(values["labeled"]) == pytest.approx([1 / 3, 2 / 3], rel=1e-4)


def test_the_balanced_classifier(outcome_of):
    term = BalancedClassifier(threshold=0.55)
    state = Counts(2)
    state.counts.assign([4.0, 1.0])
    assert numpy_of(state.share()).tolist() == [0.25, 1.0]
    half = Progress(np.int32(50), 100, 10)
    batch = {
        **VIEWS,
        # Class 0 counts with probability 1/4: the second image does, the first not.
        "labeled": logits([0.5, 0.5], [0.75, 0.25], [0.75, 0.25]),
        "labels": integers(0, 0, 1),
        # Both predictions are class 0. Halfway it counts with probability
        # 1 - (1 - 1/4) / 2 = 0.625.
        "draws": {
            term: {
                "labeled": np.array([[0.3, 0.2, 0.9]], "float32"),
                "unlabeled": np.array([[0.6, 0.7]], "float32"),
            }
        },
    }
    found = outcome_of(term, batch, state, half)
    expected = (math.log(4 / 3) + math.log(4)) / 3
    assert found.terms["abc_loss"] == pytest.approx(expected, rel=1e-5)
    # Twice the cross-entropy of (0.9, 0.1) with (1/2, 1/2), over two images.
    assert found.terms["abc_unlabeled_loss"] == pytest.approx(math.log(2), rel=1e-5)
    assert found.watch["abc_used"] == 50
    # At the first step every confident image counts; here none is confident.
    strict = BalancedClassifier(threshold=0.95)
    batch["draws"] = {strict: batch["draws"][term]}
    found = outcome_of(strict, batch, state, Progress(np.int32(0), 100, 10))
    assert found.watch["abc_used"] == 0
    term.after_update(None, state, found.kept, half)
    assert numpy_of(state.counts).tolist() == [6.0, 2.0]


def test_the_pseudo_labels_of_an_epoch_are_the_confident_predictions_of_the_last(
    given, outcome_of
):
    term = PseudoLabelEpochs(threshold=0.8, warm_up=0.5)
    state = term.create_state(given(), 3)
    batch = {"weak": VIEWS["weak"], "index": integers(2, 0)}

    def step(number):
        progress = Progress(np.int32(number), 100, 10)
        outcome = outcome_of(term, batch, state, progress)
        term.after_update(given(), state, outcome.kept, progress)
        return outcome.terms["pseudo_epochs_loss"], numpy_of(state.rows).tolist()

    # The warm-up ends before step 50.
    assert step(49) == (0, [-1, -1, -1])
    # Image 2 is confident; its class counts from the next time on.
    assert step(50) == (0, [-1, -1, 0])
    assert step(60)[0] == pytest.approx(-math.log(0.9) / 2)
    # All pseudo-labels are replaced, also by none.
    batch["weak"] = logits([0.7, 0.3], [0.1, 0.9])
    loss, labels = step(70)
    assert loss == pytest.approx(-math.log(0.7) / 2)
    assert labels == [1, -1, -1]
