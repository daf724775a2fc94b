"""The optimizer's schedule by hand, and every number of a run that must be alive."""

import dataclasses

import keras
import numpy as np
import pytest

from color_s4l.settings import Run

OTHER = {
    "learning_rate": 0.1,
    "weight_decay": 5e-3,
    "dropout": 0.1,
    "trunk_dropout": 0.5,
    "seed": 2,
    "batch_size": 6,
    "labeled_batch": 10,
    "epochs": 9,
    "hflip": True,
    "bn_stats": "supervised",
    "labels": 8,
    "method": "sesemi",
    "set": ("proxies.weight=2",),
}


@pytest.fixture(scope="module")
def third_step(make_learner):
    """A function: changed settings to the trunk's variables after three steps."""

    def run(**changes):
        learner, batches = make_learner(**{"epochs": 5, "hflip": False, **changes})
        for step in range(3):
            learner.train_on_batch(batches.batch(step))
        variables = learner.network.trunk.variables
        return {
            v.path: keras.ops.convert_to_numpy(v).copy()
            for v in variables
            if "seed" not in v.path
        }

    return run


@pytest.fixture(scope="module")
def base(third_step):
    return third_step()


def gap(first, second):
    return max(np.abs(first[path] - second[path]).max() for path in first)


def test_equal_runs_are_equal(base, third_step):
    assert gap(base, third_step()) < 1e-6


@pytest.mark.parametrize("name", OTHER)
def test_every_number_of_a_run_changes_the_third_step(name, base, third_step):
    assert name in {field.name for field in dataclasses.fields(Run)}
    assert gap(base, third_step(**{name: OTHER[name]})) > 1e-6


def test_learning_rate_decays_by_the_square_root(make_learner):
    # 48 images, B = 4: 12 steps an epoch, T = 60; at T/2 sqrt(1/2), at 3T/4 1/2.
    learner, _ = make_learner(epochs=5, learning_rate=0.05)
    optimizer = learner.optimizer
    rates = []
    for step in (0, 30, 45, 60):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.05, 0.05 * 0.5**0.5, 0.025, 0], abs=1e-7)
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, True)


def test_one_step_is_a_nesterov_step(make_learner, gradients):
    # Velocity 0: v = -lr g; the step of Nesterov is 0.9 v - lr g = -1.9 lr g.
    learner, batches = make_learner(method="supervised", learning_rate=0.01)
    state = learner.draws_seed.state
    draws = keras.ops.convert_to_numpy(state).copy()
    kernel = learner.network.heads["class"].bias
    before = keras.ops.convert_to_numpy(kernel).copy()
    views = learner.views_of(batches.batch(0))
    seed = learner.network.dropout.seed_generator.state
    dropped = keras.ops.convert_to_numpy(seed).copy()
    gradient = gradients(lambda: learner.losses(views)[1], [kernel])[0]
    state.assign(draws)
    seed.assign(dropped)
    learner.train_on_batch(batches.batch(0))
    after = keras.ops.convert_to_numpy(kernel)
    assert np.abs(gradient).max() > 1e-3
    assert after - before == pytest.approx(-1.9 * 0.01 * gradient, abs=1e-6)


def test_a_learner_is_not_saved(make_learner):
    with pytest.raises(NotImplementedError, match="Save the inference model"):
        make_learner()[0].get_config()
