"""The training step: every setting has an effect, and the optimizer's update."""

import keras
import numpy as np
import pytest

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
    "shift": 4,
    "noise": 0.0,
    "normalization": "channels",
    "optimizer": "muon",
    "momentum": 0.5,
    "bias_rate": 64.0,
    "bn_stats": "supervised",
    "labels": 8,
    "method": "sesemi",
    "set": ("proxies.weight=2",),
}


@pytest.fixture(scope="module")
def trained(make_learner):
    """A function of changed settings: the trunk's variables after two steps."""

    def run(**changes):
        learner, batches = make_learner(**{"epochs": 5, "hflip": False, **changes})
        for step in range(2):
            learner.train_on_batch(batches.batch(step))
        variables = learner.network.trunk.variables
        arrays = {v.path: keras.ops.convert_to_numpy(v).copy() for v in variables}
        return {path: array for path, array in arrays.items() if "seed" not in path}

    return run


@pytest.fixture(scope="module")
def reference(trained):
    return trained()


def gap(first, second):
    return max(np.abs(first[path] - second[path]).max() for path in first)


def test_equal_runs_are_equal(reference, trained):
    assert gap(reference, trained()) < 1e-6


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_changes_the_weights(name, reference, trained):
    assert gap(reference, trained(**{name: OTHER[name]})) > 1e-6


def test_one_step_is_a_nesterov_step(make_learner, gradients):
    # Velocity 0: v = -lr g; the step of Nesterov is 0.9 v - lr g = -1.9 lr g.
    learner, batches = make_learner(method="supervised", learning_rate=0.01)
    bias = learner.network.heads["class"].bias
    before = keras.ops.convert_to_numpy(bias).copy()
    states = [learner.draws_seed.state, learner.network.dropout.seed_generator.state]
    kept = [keras.ops.convert_to_numpy(state).copy() for state in states]
    views = learner.views_of(batches.batch(0))
    gradient = gradients(lambda: learner.losses(views)[1], [bias])[0]
    for state, value in zip(states, kept, strict=True):
        state.assign(value)
    learner.train_on_batch(batches.batch(0))
    after = keras.ops.convert_to_numpy(bias)
    assert np.abs(gradient).max() > 1e-3
    assert after - before == pytest.approx(-1.9 * 0.01 * gradient, abs=1e-6)
    # 48 images, B = 4, 30 epochs: T = 360; at T/2 sqrt(1/2).
    learner.optimizer.iterations.assign(180)
    rate = float(learner.optimizer.learning_rate)
    assert rate == pytest.approx(0.01 * 0.5**0.5, abs=1e-7)
    with pytest.raises(NotImplementedError, match="Save the inference model"):
        learner.get_config()


def test_muon_orthogonalises_the_kernels_of_the_trunk(make_learner):
    learner, batches = make_learner(
        method="supervised", optimizer="muon", learning_rate=0.01, weight_decay=0.0
    )
    kernel = learner.network.kernels[1]
    bias = learner.network.heads["class"].bias
    before = [keras.ops.convert_to_numpy(v).copy() for v in (kernel, bias)]
    learner.train_on_batch(batches.batch(0))
    after = [keras.ops.convert_to_numpy(v) for v in (kernel, bias)]
    step = (after[0] - before[0]).reshape(-1, kernel.shape[-1])
    # All singular values of the step are near one value, the rate 0.01 times 0.2 times
    # the square root of the longer side.
    values = np.linalg.svd(step, compute_uv=False)
    expected = 0.01 * 0.2 * max(step.shape) ** 0.5
    assert values.max() < 1.4 * expected
    assert values.min() > 0.4 * expected
    # Adam's first step is the learning rate, in the direction of the gradient.
    assert np.abs(after[1] - before[1]) == pytest.approx(0.01, rel=1e-2)


def test_adamw_decays_the_kernels_itself(make_learner):
    learner, batches = make_learner(
        method="supervised", optimizer="adamw", weight_decay=0.1, learning_rate=0.01
    )
    assert float(learner(batches.batch(0)).terms["weight_decay"]) == 0
    optimizer = learner.optimizer
    kernels = {id(kernel) for kernel in learner.network.kernels}
    for variable in learner.trainable_variables:
        assert optimizer._use_weight_decay(variable) == (id(variable) in kernels)
