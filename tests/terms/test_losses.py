"""Losses by hand, and what a weight of 0 must be equal to."""

import contextlib
import dataclasses
import math

import keras
import numpy as np
import pytest

from color_s4l.methods import METHODS, terms_of
from color_s4l.terms import Proxies, Supervised
from color_s4l.terms.proxies import COLOR_S4L, SESEMI


class Given:
    """A network whose logits stand in the images: each is its own output."""

    def __init__(self):
        self.kept = []

    def __call__(self, images, training=False):
        assert training
        return {"class": images, "proxy": images}

    @contextlib.contextmanager
    def moving_statistics_kept(self):
        self.kept.append(True)
        yield


def outcome_of(term, views):
    outcome = term.loss(Given(), views, None, None)
    numbers = {
        name: float(keras.ops.convert_to_numpy(value))
        for name, value in {**outcome.terms, **outcome.watch}.items()
    }
    assert len(outcome.terms) == 1
    return numbers


def test_uniform_logits_cost_the_logarithm_of_the_number_of_classes():
    views = {
        "labeled": np.zeros((5, 10), "float32"),
        "labels": np.arange(5, dtype="int32"),
    }
    found = outcome_of(Supervised(), views)
    assert found["class_loss"] == pytest.approx(math.log(10))
    # argmax of equal logits is 0, the right class of the first image only.
    assert found["train_error"] == pytest.approx(80)
    views = {task: np.full((3, 7), 2, "float32") for task in COLOR_S4L}
    found = outcome_of(Proxies(), views)
    assert found["proxy_loss"] == pytest.approx(math.log(7))
    assert found["proxy_error"] == pytest.approx(100 * 6 / 7)


def test_supervised_by_hand():
    # Probabilities 3/4, 1/4 (label 0) and 1/2, 1/2 (label 1), weight 2:
    # 2 (ln 4/3 + ln 2) / 2 = ln 8/3. The second argmax is 0: wrong.
    views = {
        "labeled": np.log([[3.0, 1.0], [1.0, 1.0]]).astype("float32"),
        "labels": np.array([0, 1], "int32"),
    }
    found = outcome_of(Supervised(weight=2), views)
    assert found["class_loss"] == pytest.approx(math.log(8 / 3), rel=1e-6)
    assert found["train_error"] == pytest.approx(50)


def test_supervised_with_balanced_classes_by_hand():
    # Entropies ln 4/3 and ln 2 as above, weighed by 1/2 and 3: the mean is
    # (ln 4/3 / 2 + 3 ln 2) / 2; the error counts every image alike.
    views = {
        "labeled": np.log([[3.0, 1.0], [1.0, 1.0]]).astype("float32"),
        "labels": np.array([0, 1], "int32"),
        "label_weights": np.array([0.5, 3], "float32"),
    }
    found = outcome_of(Supervised(), views)
    expected = (math.log(4 / 3) / 2 + 3 * math.log(2)) / 2
    assert found["class_loss"] == pytest.approx(expected, rel=1e-6)
    assert found["train_error"] == pytest.approx(50)


def test_proxies_by_hand():
    # Two tasks of two images. Task 0 (label 0): probabilities 1/2 and 3/4;
    # task 1 (label 1): 3/4 and 1/4. Mean of ln 2, ln 4/3, ln 4/3, ln 4.
    views = {
        "identity": np.log([[1.0, 1.0], [3.0, 1.0]]).astype("float32"),
        "colorized": np.log([[1.0, 3.0], [3.0, 1.0]]).astype("float32"),
    }
    term = Proxies(tasks=("identity", "colorized"), weight=0.5)
    found = outcome_of(term, views)
    expected = (math.log(2) + 2 * math.log(4 / 3) + math.log(4)) / 4
    assert found["proxy_loss"] == pytest.approx(0.5 * expected, rel=1e-6)
    assert found["proxy_error"] == pytest.approx(25)


def test_a_views_place_in_tasks_is_its_label():
    # Sure of the right label everywhere costs nothing.
    views = {task: np.zeros((2, 7), "float32") for task in COLOR_S4L}
    for label, task in enumerate(COLOR_S4L):
        views[task][:, label] = 50
    found = outcome_of(Proxies(), views)
    assert found == {"proxy_loss": pytest.approx(0, abs=1e-6), "proxy_error": 0}
    assert COLOR_S4L.index("colorized") == 6
    assert Proxies(tasks=SESEMI).heads(10) == {"proxy": 6}


def test_statistics_are_kept_only_where_asked():
    views = {task: np.zeros((1, 7), "float32") for task in COLOR_S4L}
    for bn_stats, times in (("both", 0), ("supervised", 1)):
        network = Given()
        Proxies(bn_stats=bn_stats).loss(network, views, None, None)
        assert len(network.kept) == times


def steps_of(make_learner, terms, steps=3, **changes):
    """The network after some steps, and their losses."""
    learner, batches = make_learner(terms, epochs=5, **changes)
    losses = []
    for step in range(steps):
        learner.reset_metrics()
        logs = learner.train_on_batch(batches.batch(step), return_dict=True)
        losses.append(logs)
    return learner.network, losses


def values(variables):
    return [keras.ops.convert_to_numpy(v).copy() for v in variables]


def gap(first, second):
    return max(np.abs(a - b).max() for a, b in zip(first, second, strict=True))


def test_proxy_weight_0_is_supervised(make_learner):
    # With its statistics kept, no trace of the proxy pass may remain. Without
    # dropout: the proxy pass takes draws of its own from the same stream.
    silent = terms_of("color_s4l", ["proxies.weight=0"], bn_stats="supervised")
    plain = terms_of("supervised")
    one, logs = steps_of(make_learner, silent, dropout=0.0)
    other, expected = steps_of(make_learner, plain, dropout=0.0)
    assert gap(values(one.trunk.variables), values(other.trunk.variables)) < 1e-6
    heads = [values(n.heads["class"].variables) for n in (one, other)]
    assert gap(*heads) < 1e-6
    assert [log["class_loss"] for log in logs] == pytest.approx(
        [log["class_loss"] for log in expected], abs=1e-6
    )
    assert logs[0]["proxy_loss"] == 0
    assert logs[0]["proxy_error"] > 0


def test_proxy_weight_1_is_not_supervised(make_learner):
    one, _ = steps_of(make_learner, METHODS["color_s4l"])
    other, _ = steps_of(make_learner, METHODS["supervised"])
    assert gap(values(one.trunk.trainable_variables),
               values(other.trunk.trainable_variables)) > 1e-4  # fmt: skip


def test_bn_stats_moves_other_statistics_and_the_same_weights(make_learner):
    both = METHODS["color_s4l"]
    alone = tuple(
        dataclasses.replace(t, bn_stats="supervised") if isinstance(t, Proxies) else t
        for t in both
    )
    first, _ = steps_of(make_learner, both)
    second, _ = steps_of(make_learner, alone)
    assert gap(
        values(first.trainable_variables), values(second.trainable_variables)
    ) < (1e-6)
    moving = [
        values(v for v in n.non_trainable_variables if v.name.startswith("moving_"))
        for n in (first, second)
    ]
    assert gap(*moving) > 1e-3


def test_supervised_statistics_are_those_of_the_labelled_pass_alone(make_learner):
    # One step from equal weights: the moving statistics of `supervised` itself.
    alone = terms_of("color_s4l", bn_stats="supervised")
    first, _ = steps_of(make_learner, alone, steps=1)
    second, _ = steps_of(make_learner, METHODS["supervised"], steps=1)
    moving = [
        values(v for v in n.non_trainable_variables if v.name.startswith("moving_"))
        for n in (first, second)
    ]
    assert gap(*moving) < 1e-6


def test_weight_decay_is_5e_4_of_the_sum_of_squares_of_all_kernels(make_learner):
    learner, batches = make_learner(METHODS["sesemi"])
    layers = [*learner.network.trunk.layers, *learner.network.heads.values()]
    kernels = [
        keras.ops.convert_to_numpy(layer.kernel)
        for layer in layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    ]
    expected = 5e-4 * sum(float(np.square(k.astype("float64")).sum()) for k in kernels)
    found = learner(batches.batch(0)).terms["weight_decay"]
    assert len(kernels) == 11
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_weight_decay_pulls_with_twice_its_factor(make_learner, gradients):
    learner, _ = make_learner(METHODS["supervised"], weight_decay=0.01)
    kernels = learner.network.kernels
    for kernel, gradient in zip(
        kernels, gradients(learner._weight_decay, kernels), strict=True
    ):
        expected = 0.02 * keras.ops.convert_to_numpy(kernel)
        assert gradient == pytest.approx(expected, rel=1e-5)


def test_two_terms_of_one_name_are_refused(make_learner):
    learner, batches = make_learner((Supervised(),))
    learner.terms, learner.states = (Supervised(), Supervised(weight=2)), [None, None]
    with pytest.raises(ValueError, match=r"report the same name: .*class_loss"):
        learner(batches.batch(0))
