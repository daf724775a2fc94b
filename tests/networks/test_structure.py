"""Blocks, frozen blocks, stages, and published numbers of parameters."""

import keras
import numpy as np
import pytest
from keras import layers

from color_s4l.errors import InputError
from color_s4l.networks import __main__ as command
from color_s4l.networks.structure import (
    ALL,
    Statistics,
    blocks,
    enable_lora,
    freeze,
    merged_weights,
    multiply_adds,
    release,
    stages,
    statistics,
)
from color_s4l.networks.wrn import wrn, wrn_usb
from color_s4l.registry import TRUNKS

SHAPE = (32, 32, 3)


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def counted(name):
    return statistics(TRUNKS[name](SHAPE))


def weights_of(trunk):
    """Block -> its weights and moving statistics."""
    return {
        block: [numpy_of(weight).copy() for layer in found for weight in layer.weights]
        for block, found in blocks(trunk).items()
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


# One without a stem, one with a stem and a custom gradient.
@pytest.mark.parametrize("network", ["convnet", "revnet18"])
def test_two_frozen_blocks_stay_and_the_rest_learns(network, after_a_step):
    _, before, after = after_a_step(network, 2)
    stay = {"stem", "block1", "block2"} & before.keys()
    assert len(before) > len(stay)
    for block in before:
        assert equal(before[block], after[block]) == (block in stay), block


@pytest.mark.parametrize("count", [ALL, 3])
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
        network="tempens", trunk_dropout=0.5, dropout=0.0, freeze_blocks=ALL
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
    release(network.trunk)
    assert len(network.kernels) == 11
    assert network.num_parameters == parameters


def test_released_layers_are_all_trainable():
    trunk = TRUNKS["resnet18"]((16, 16, 3), width=0.1)
    count = len(trunk.trainable_weights)
    freeze(trunk, 2)
    assert 0 < len(trunk.trainable_weights) < count
    release(trunk)
    assert len(trunk.trainable_weights) == count
    assert len(trunk.non_trainable_weights) > 0
    with pytest.raises(InputError, match=r"`freeze_blocks` is 5, but.* has 4 blocks"):
        freeze(trunk, 5)


@pytest.mark.parametrize("network", ["convnet", "revnet18"])
def test_adapters_learn_and_are_merged(network, make_learner, small):
    learner, batches = make_learner(network=network, trunk_dropout=0.0)
    trunk = learner.network.trunk
    images = learner.preprocessing(small.images[:4])
    before, features = trunk.get_weights(), numpy_of(trunk(images, training=False))
    learner, batches = make_learner(network=network, trunk_dropout=0.0, lora_rank=2)
    trunk = learner.network.trunk
    np.testing.assert_array_equal(trunk(images, training=True), features)
    assert {v.name for v in trunk.trainable_variables} == {
        "lora_kernel_a",
        "lora_kernel_b",
    }
    assert len(learner.network.kernels) == 2  # of the two heads
    learner.train_on_batch(batches.batch(0))
    after = merged_weights(trunk)
    assert [weight.shape for weight in after] == [weight.shape for weight in before]
    changed = [new - old for old, new in zip(before, after, strict=True)]
    ranks = {
        np.linalg.matrix_rank(change.reshape(-1, change.shape[-1]), tol=1e-6)
        for change in changed
        if change.any()
    }
    assert ranks <= {1, 2}
    assert sum(change.any() for change in changed) == len(trunk.trainable_variables) / 2


def test_a_trunk_without_dense_layers_and_convolutions_has_no_adapters():
    images = keras.Input(SHAPE)
    trunk = keras.Model(images, layers.DepthwiseConv2D(3)(images))
    with pytest.raises(InputError, match=r"`lora_rank`=4: the network has no dense"):
        enable_lora(trunk, 4)


@pytest.mark.parametrize(
    ("name", "sides"),
    [("convnet", (16, 16, 8, 4)), ("wrn_28_2", (16, 16, 8)), ("resnet18", None)],
)
def test_stages_one_after_another_are_the_trunk(name, sides):
    images = np.random.default_rng(1).normal(size=(3, 16, 16, 3)).astype("float32")
    trunk = TRUNKS[name]((16, 16, 3), width=0.07)
    parts = stages(trunk)
    assert len(parts) > 1
    if sides:
        assert tuple(part.input_shape[1] for part in parts) == sides
    features = images
    for part in parts:
        features = part(features, training=False)
    expected = numpy_of(trunk(images, training=False))
    assert numpy_of(features) == pytest.approx(expected, abs=1e-5)
    shared = {id(weight) for part in parts for weight in part.weights}
    assert shared == {id(weight) for weight in trunk.weights}


# Parameters: Tran 2019's published code; multiply-adds follow from its layers.
@pytest.mark.parametrize(
    ("name", "trainable", "moving", "millions"),
    [
        ("convnet", 3_122_560, 4_096, 731),
        ("nin", 1_005_312, 3_200, 225),
        ("wrn_28_2", 1_466_320, 3_616, 302),
        ("wrn_28_4", 5_846_480, 7_200, 1_198),
    ],
)
def test_published_trunks(name, trainable, moving, millions):
    numbers = counted(name)
    assert (numbers.trainable, numbers.moving) == (trainable, moving)
    assert round(numbers.multiply_adds / 1e6) == millions


# The published number of parameters, less the classifier of `classes` outputs.
@pytest.mark.parametrize(
    ("name", "whole", "features", "classes"),
    [
        ("resnet18", 11_173_962, 512, 10),  # the common CIFAR form
        ("resnet_v2_50", 25_549_352, 2048, 1000),
    ],
)
def test_parameters_without_classifier(name, whole, features, classes):
    assert counted(name).trainable == whole - (features + 1) * classes


@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_applications_have_the_parameters_of_keras(name):
    build = {"resnet50": "ResNet50", "vgg16": "VGG16"}[name]
    original = getattr(keras.applications, build)(
        include_top=False, weights=None, input_shape=SHAPE
    )
    trunk = TRUNKS[name](SHAPE)
    assert trunk.count_params() == original.count_params()
    assert trunk.output_shape == original.output_shape
    # The same weights give the same features: the same graph.
    trunk.set_weights(original.get_weights())
    images = keras.random.uniform((1, *SHAPE), seed=1)
    difference = keras.ops.max(keras.ops.abs(trunk(images) - original(images)))
    assert float(difference) < 1e-6


def test_usb_form():
    # Of the plain WRN-28-2 of 1,467,610: no classifier (1,290), no unused
    # normalisations (2 * (32 + 64)), and the stem's 16 biases.
    assert counted("wrn_28_2_usb").trainable == 1_467_610 - 1_290 - 192 + 16
    trunk = wrn_usb(SHAPE, width=0.25)
    norms = [x for x in trunk.layers if isinstance(x, layers.BatchNormalization)]
    assert {norm.momentum for norm in norms} == {0.999}
    assert [norm.epsilon for norm in norms] == [1e-5] * 22 + [1e-3]
    assert not any(isinstance(x, layers.MaxPooling2D) for x in trunk.layers)


def test_statistics_by_hand():
    # 8 x 8 x 3 -> 3x3 convolution to 4: 64 * 27 * 4 = 6,912, field 3; pooling of 2:
    # field 4, step 2; 3x3 convolution to 5 with strides 2: 2 * 2 * 36 * 5 = 720,
    # field 4 + 2 * 2 = 8; step 4. 1x1 to 5 and the sum: 4 * 25 = 100. A dilated 3x3
    # depthwise convolution: 4 * 9 * 5 = 180, field 8 + 4 * 4 = 24.
    inputs = features = keras.Input((8, 8, 3))
    features = layers.Conv2D(4, 3, padding="same")(features)
    features = layers.BatchNormalization()(layers.MaxPooling2D(2)(features))
    features = layers.Conv2D(5, 3, strides=2, padding="same")(features)
    features = layers.Add()([features, layers.Conv2D(5, 1)(features)])
    features = layers.DepthwiseConv2D(
        3, dilation_rate=2, padding="same", use_bias=False
    )(features)
    assert statistics(keras.Model(inputs, features)) == Statistics(
        trainable=27 * 4 + 4 + 8 + 36 * 5 + 5 + 30 + 45,
        moving=8,
        multiply_adds=6_912 + 720 + 100 + 180,
        receptive_field=24,
    )


def test_receptive_fields():
    # ConvNet: 3 convolutions 7, pooling 8; at step 2: 6 * 2 + 2 = 22; at step 4: 30.
    assert counted("convnet").receptive_field == 30
    # Keras' ResNet-50 at 224 px: 483, the number known for its graph.
    assert counted("resnet50").receptive_field == 483


def test_a_reversible_stage_counts_its_branches():
    # 2 units = 8 convolutions of 32 to 32 channels at 32 x 32.
    stage = TRUNKS["revnet18"](SHAPE).get_layer("block1_reversible")
    assert multiply_adds(stage) == 8 * 9 * 32 * 32 * 32 * 32
    assert stage.window == 1 + 8 * 2


def test_wrn_of_other_depths():
    shallow = wrn((8, 8, 3), depth=10, widening=1, width=0.25)
    names = [layer.name for layer in shallow.layers]
    assert "block3_1" in names
    assert "block3_2" not in names
    with pytest.raises(InputError, match=r"depth of 6 n \+ 4.*Received: 27"):
        wrn(SHAPE, depth=27)


def test_the_command_lists_the_trunks(monkeypatch, capsys):
    few = {"nin": TRUNKS["nin"], "wrn_28_2": TRUNKS["wrn_28_2"]}
    monkeypatch.setattr(command, "TRUNKS", few)
    command.show(command.Options())
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["nin", "1,005,312", "3,200", "225", "24"]
    assert lines[2].split() == ["wrn_28_2", "1,466,320", "3,616", "302", "106"]


def test_the_command_says_why_a_trunk_has_no_numbers(monkeypatch, capsys):
    name = "applications/mobilenetv3small"
    monkeypatch.setattr(command, "TRUNKS", {name: TRUNKS[name]})
    command.show(command.Options(width=0.5))
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith(f"{name} Expected --width to be 1")
