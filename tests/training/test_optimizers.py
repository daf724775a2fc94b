"""Factors on the learning rates of the trunk and of the biases, computed by hand."""

import keras
import numpy as np
import pytest


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def moved(learner):
    """Returns the changes of all weights in a first step whose gradients are 1."""
    variables = learner.trainable_variables
    before = [numpy_of(v).copy() for v in variables]
    learner.optimizer.apply([keras.ops.ones(v.shape) for v in variables])
    return [numpy_of(v) - b for v, b in zip(variables, before, strict=True)], before


def factors(learner):
    trunk = {id(v) for v in learner.network.trunk.trainable_variables}
    return [
        (0.1 if id(v) in trunk else 1.0) * (64 if v.name == "beta" else 1)
        for v in learner.trainable_variables
    ]


RATES = {"trunk_rate": 0.1, "bias_rate": 64.0, "learning_rate": 0.01}


def test_sgd_moves_each_weight_by_its_own_rate(make_learner):
    learner, _ = make_learner(method="supervised", momentum=0.5, **RATES)
    changes, _ = moved(learner)
    assert {round(f, 3) for f in factors(learner)} == {0.1, 6.4, 1.0}
    for change, factor in zip(changes, factors(learner), strict=True):
        # Nesterov's first step: gradient + momentum * gradient.
        assert change == pytest.approx(-0.01 * factor * 1.5, rel=1e-3)


def test_adamw_scales_its_weight_decay_too(make_learner):
    learner, _ = make_learner(
        method="supervised", optimizer="adamw", weight_decay=0.5, **RATES
    )
    kernels = {id(v) for v in learner.network.kernels}
    changes, before = moved(learner)
    for variable, change, factor, old in zip(
        learner.trainable_variables, changes, factors(learner), before, strict=True
    ):
        decayed = 0.5 * old if id(variable) in kernels else 0
        # Adam's first step has length 1.
        expected = -0.01 * factor * (1 + decayed)
        assert change == pytest.approx(expected, rel=2e-3, abs=1e-6)


def test_muon_scales_kernels_and_other_weights(make_learner):
    alone, _ = make_learner(method="supervised", optimizer="muon", learning_rate=0.01)
    learner, _ = make_learner(method="supervised", optimizer="muon", **RATES)
    for one, other, factor in zip(
        moved(alone)[0], moved(learner)[0], factors(learner), strict=True
    ):
        assert np.abs(one).max() > 0
        assert other == pytest.approx(factor * one, rel=1e-2, abs=1e-6)


def test_a_frozen_block_leaves_the_other_factors(make_learner):
    learner, _ = make_learner(method="supervised", freeze_blocks=2, **RATES)
    found = learner.optimizer.factors
    assert found == pytest.approx(factors(learner))
    assert len(found) == len(learner.trainable_variables)
