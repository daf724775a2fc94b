"""The consistency terms: losses and states by hand."""

import contextlib
import math

import keras
import numpy as np
import pytest

from color_s4l.errors import InputError
from color_s4l.terms import (
    Entropy,
    PiModel,
    Progress,
    TemporalEnsembling,
    Vat,
)
from color_s4l.terms.parts import distances, ramps
from color_s4l.terms.temporal_ensembling import Ensemble
from color_s4l.terms.vat import unit

END = Progress(np.int32(100), 100, 10)


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def logits_of(*probabilities):
    return np.log(np.array(probabilities, "float32"))


class Given:
    """A network whose logits are a linear function of the images."""

    def __init__(self, matrix=None):
        self.matrix, self.passes = matrix, 0

    def __call__(self, images, training=False):
        assert training
        self.passes += 1
        images = keras.ops.convert_to_tensor(images)
        return {"class": images if self.matrix is None else images @ self.matrix}

    def random_states(self):
        return []

    @contextlib.contextmanager
    def apart(self, values=()):
        yield


def value_of(term, views, state=None, progress=END):
    """The one minimised scalar."""
    outcome = term.loss(Given(), views, state, progress)
    (value,) = outcome.terms.values()
    return float(numpy_of(value))


def test_ramps_by_hand():
    # exp(-5 (1 - t)^2) at 0, 1/2 and 1; the linear one is t.
    for step, sigmoid, linear in ((0, -5, 0), (10, -1.25, 0.5), (20, 0, 1)):
        progress = Progress(np.int32(step), 40, 10)
        found = [float(ramps.factor(name, progress, 0.5)) for name in ramps.RAMPS]
        assert found == pytest.approx([math.exp(sigmoid), linear], rel=1e-6)


def test_a_ramp_ends_in_a_constant_and_none_is_one_from_the_start():
    for name in ramps.RAMPS:
        for step, share in ((20, 0.5), (39, 0.5), (0, 0.0)):
            progress = Progress(np.int32(step), 40, 10)
            assert float(ramps.factor(name, progress, share)) == 1


def test_distances_by_hand():
    first, second = np.array([[0.75, 0.25]]), np.array([[0.5, 0.5]])
    # (1/16 + 1/16) / 2
    assert numpy_of(distances.squared(first, second)) == pytest.approx([1 / 16])
    # KL((1/2, 1/2) || (3/4, 1/4)) = (ln 2/3 + ln 2) / 2
    found = distances.divergence(logits_of([0.5, 0.5]), logits_of([0.75, 0.25]))
    assert numpy_of(found) == pytest.approx([math.log(4 / 3) / 2], rel=1e-5)
    found = distances.entropy(logits_of([0.5, 0.5], [0.75, 0.25]))
    quarter = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert numpy_of(found) == pytest.approx([math.log(2), quarter], rel=1e-5)
    with pytest.raises(ValueError, match=r"one shape. Received: \(1, 2\) and \(2,\)"):
        distances.squared(first, second[0])


def test_pi_model_by_hand():
    # Squared distances 1/16 and 0, mean 1/32.
    views = {
        "weak": logits_of([0.75, 0.25], [0.9, 0.1]),
        "weak_2": logits_of([0.5, 0.5], [0.9, 0.1]),
    }
    assert value_of(PiModel(weight=100), views) == pytest.approx(100 / 32, rel=1e-5)
    beginning = Progress(np.int32(0), 100, 10)
    found = value_of(PiModel(weight=32), views, progress=beginning)
    assert found == pytest.approx(math.exp(-5), rel=1e-4)


def test_entropy_by_hand():
    views = {"weak": np.zeros((3, 10), "float32")}
    assert value_of(Entropy(weight=2), views) == pytest.approx(2 * math.log(10))


def test_ensemble_by_hand():
    # Decay 0.6. After one prediction the corrected mean is the prediction; after two
    # (0.24 p1 + 0.4 p2) / 0.64 = 0.375 p1 + 0.625 p2.
    ensemble = Ensemble(3, 2)
    ensemble.move(np.array([0, 2]), np.array([[1.0, 0], [0.5, 0.5]], "float32"), 0.6)
    targets, known = ensemble.targets(np.array([2, 1, 0]), 0.6)
    assert numpy_of(targets) == pytest.approx(np.array([[0.5, 0.5], [0, 0], [1, 0]]))
    assert numpy_of(known).tolist() == [1, 0, 1]
    ensemble.move(np.array([0]), np.array([[0.0, 1]], "float32"), 0.6)
    targets, _ = ensemble.targets(np.array([0, 2]), 0.6)
    assert numpy_of(targets) == pytest.approx(
        np.array([[0.375, 0.625], [0.5, 0.5]]), rel=1e-5
    )


def test_temporal_ensembling_by_hand():
    # The first image is unknown yet; the second has 1/16 from (1/2, 1/2).
    term, ensemble = TemporalEnsembling(), Ensemble(4, 2)
    ensemble.move(np.array([3]), np.array([[0.5, 0.5]], "float32"), term.decay)
    views = {
        "weak": logits_of([0.9, 0.1], [0.75, 0.25]),
        "index": np.array([1, 3], "int32"),
    }
    assert value_of(term, views, ensemble) == pytest.approx(30 / 32, rel=1e-5)
    kept = term.loss(Given(), views, ensemble, END).kept
    term.after_update(None, ensemble, kept, END)
    targets, _ = ensemble.targets(np.array([1]), term.decay)
    assert numpy_of(targets) == pytest.approx(np.array([[0.9, 0.1]]), rel=1e-5)
    assert numpy_of(ensemble.updates).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("xi", [1e-6, 0.01])
def test_vat_finds_the_worst_direction_of_a_linear_network(xi):
    # Two classes, x = 0: p = 1/2, and the logits' difference is x (w1 - w2). The worst
    # x of length 2 lies along (w1 - w2) = (0, 3, -4) and changes it by 10:
    # KL = -ln(2 sqrt(s (1 - s))), s = 1 / (1 + e^-10), whatever its sign.
    term = Vat(epsilon=2.0, xi=xi)
    network = Given(np.array([[1.0, 1], [1, -2], [-1, 3]], "float32"))
    views = {
        "weak": np.zeros((4, 3), "float32"),
        "draws": {term: np.random.default_rng(0).normal(size=(2, 2, 3))},
    }
    views["draws"][term] = views["draws"][term].astype("float32")
    outcome = term.loss(network, views, None, END)
    share = 1 / (1 + math.exp(-10))
    expected = -math.log(2 * math.sqrt(share * (1 - share)))
    assert float(outcome.terms["vat_loss"]) == pytest.approx(expected, rel=1e-4)
    assert network.passes == 3


def test_unit_vectors_do_not_vanish():
    found = numpy_of(unit(np.array([[3e-30, 4e-30], [0, 0]], "float32")))
    assert found == pytest.approx(np.array([[0.6, 0.8], [0, 0]]), rel=1e-5)


def test_vat_refuses_a_change_that_half_precision_loses():
    class Half:
        compute_dtype = "bfloat16"

    with pytest.raises(InputError, match=r"vat.xi=1e-06 is lost in bfloat16: give"):
        Vat().create_state(Half(), 1)
    assert Vat(xi=10.0).create_state(Half(), 1) is None
