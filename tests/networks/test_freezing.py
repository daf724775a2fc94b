"""Frozen blocks neither learn nor move their statistics; the others do both."""

import keras
import numpy as np
import pytest

from color_s4l.errors import InputError
from color_s4l.networks import TRUNKS, freezing, parts

# One without a stem, one with a stem and gradients of its own.
NETWORKS = ("convnet", "revnet18")


def weights_of(trunk):
    """Block -> its weights and moving statistics."""
    return {
        block: [
            keras.ops.convert_to_numpy(weight).copy()
            for layer in layers
            for weight in layer.weights
        ]
        for block, layers in parts.blocks(trunk).items()
    }


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def after_a_step(make_learner):
    """A function: network and frozen blocks to its weights before and after a step."""

    def run(network, count):
        learner, batches = make_learner(network=network, freeze_blocks=count)
        before = weights_of(learner.network.trunk)
        logs = learner.train_on_batch(batches.batch(0), return_dict=True)
        assert all(np.isfinite(value) for value in logs.values())
        return learner, before, weights_of(learner.network.trunk)

    return run


@pytest.mark.parametrize("network", NETWORKS)
def test_two_frozen_blocks_stay_and_the_rest_learns(network, after_a_step):
    _, before, after = after_a_step(network, 2)
    stay = {"stem", "block1", "block2"} & before.keys()
    assert len(before) > len(stay)
    for block in before:
        assert equal(before[block], after[block]) == (block in stay), block


@pytest.mark.parametrize("count", [freezing.ALL, 3])
def test_a_frozen_trunk_stays_and_the_heads_learn(count, after_a_step):
    learner, before, after = after_a_step("convnet", count)
    assert all(equal(before[block], after[block]) for block in before)
    assert [v.path.split("/")[-2:] for v in learner.trainable_variables] == [
        [head, part] for head in ("class", "proxy") for part in ("kernel", "bias")
    ]
    assert any(
        np.abs(v).max() > 0 for v in learner.network.heads["class"].get_weights()
    )


def test_a_frozen_trunk_is_a_fixed_function(make_learner, small):
    learner, _ = make_learner(
        network="tempens", trunk_dropout=0.5, dropout=0.0, freeze_blocks=freezing.ALL
    )
    images = learner.preprocessing(small.images[:4])
    first, second = (
        learner.network(images, training=training)["class"]
        for training in (True, False)
    )
    np.testing.assert_array_equal(first, second)


def test_frozen_kernels_do_not_decay_but_count_as_parameters(make_learner):
    network = make_learner(freeze_blocks=2)[0].network
    parameters = network.num_parameters
    # Nine convolutions and two heads; six convolutions are frozen.
    assert len(network.kernels) == 5
    freezing.release(network.trunk)
    assert len(network.kernels) == 11
    assert network.num_parameters == parameters


def test_released_everything_learns_again():
    trunk = TRUNKS["resnet18"]((16, 16, 3), width=0.1)
    count = len(trunk.trainable_weights)
    freezing.freeze(trunk, 2)
    assert 0 < len(trunk.trainable_weights) < count
    freezing.release(trunk)
    assert len(trunk.trainable_weights) == count
    assert len(trunk.non_trainable_weights) > 0


def test_refuses_more_blocks_than_there_are():
    with pytest.raises(InputError, match="--freeze_blocks=5: this network has 4 blo"):
        freezing.freeze(TRUNKS["resnet18"]((16, 16, 3), width=0.1), 5)
