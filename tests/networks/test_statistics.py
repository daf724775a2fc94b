"""Parameters, multiply-adds and receptive fields, against published numbers."""

import keras
import pytest
from keras import layers

from color_s4l import networks
from color_s4l.networks import TRUNKS, __main__
from color_s4l.networks.statistics import Statistics, multiply_adds, statistics
from color_s4l.networks.wrn import wrn
from color_s4l.networks.wrn_usb import wrn_usb

SHAPE = (32, 32, 3)


def found(name, shape=SHAPE):
    return statistics(TRUNKS[name](shape))


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
    numbers = found(name)
    assert (numbers.trainable, numbers.moving) == (trainable, moving)
    assert round(numbers.multiply_adds / 1e6) == millions


# What the original publishes, less its classifier of `classes` outputs.
@pytest.mark.parametrize(
    ("name", "whole", "features", "classes"),
    [
        ("resnet18", 11_173_962, 512, 10),  # the common CIFAR form
        ("resnet_v2_50", 25_549_352, 2048, 1000),
    ],
)
def test_parameters_without_classifier(name, whole, features, classes):
    assert found(name).trainable == whole - (features + 1) * classes


@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_applications_are_keras_own(name):
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
    # Of the plain WRN-28-2 of 1,467,610: no classifier (1,290), no idle
    # normalisations (2 * (32 + 64)), and the stem's 16 biases.
    assert found("wrn_28_2_usb").trainable == 1_467_610 - 1_290 - 192 + 16
    trunk = wrn_usb(SHAPE, width=0.25)
    norms = [x for x in trunk.layers if isinstance(x, layers.BatchNormalization)]
    assert {norm.momentum for norm in norms} == {0.999}
    assert [norm.epsilon for norm in norms] == [1e-5] * 22 + [1e-3]
    assert not any(isinstance(x, layers.MaxPooling2D) for x in trunk.layers)


def test_statistics_by_hand():
    # 8 x 8 x 3 -> 3x3 convolution to 4: 64 * 27 * 4 = 6,912, field 3; pooling of 2:
    # field 4, step 2; 3x3 convolution to 5 with strides 2: 2 * 2 * 36 * 5 = 720,
    # field 4 + 2 * 2 = 8; step 4. 1x1 to 5 and the sum: 4 * 25 = 100.
    inputs = features = keras.Input((8, 8, 3))
    features = layers.Conv2D(4, 3, padding="same")(features)
    features = layers.BatchNormalization()(layers.MaxPooling2D(2)(features))
    features = layers.Conv2D(5, 3, strides=2, padding="same")(features)
    features = layers.Add()([features, layers.Conv2D(5, 1)(features)])
    assert statistics(keras.Model(inputs, features)) == Statistics(
        trainable=27 * 4 + 4 + 8 + 36 * 5 + 5 + 30,
        moving=8,
        multiply_adds=6_912 + 720 + 100,
        receptive_field=8,
    )


def test_receptive_fields():
    # ConvNet: 3 convolutions 7, pooling 8; at step 2: 6 * 2 + 2 = 22; at step 4: 30.
    assert found("convnet").receptive_field == 30
    # Keras' ResNet-50 at 224 px: 483, the number known for its graph.
    assert found("resnet50").receptive_field == 483


def test_reversible_stage_counts_its_branches():
    trunk = TRUNKS["revnet18"](SHAPE)
    # 2 units = 8 convolutions of 32 to 32 channels at 32 x 32.
    stage = trunk.get_layer("block1_reversible")
    assert multiply_adds(stage) == 8 * 9 * 32 * 32 * 32 * 32
    assert stage.window == 1 + 8 * 2


def test_wrn_of_other_depths():
    shallow = wrn((8, 8, 3), depth=10, widening=1, width=0.25)
    names = [layer.name for layer in shallow.layers]
    assert "block3_1" in names
    assert "block3_2" not in names
    with pytest.raises(ValueError, match=r"depth of 6 n \+ 4.*Received: 27"):
        wrn(SHAPE, depth=27)


def test_the_command_lists_the_trunks(monkeypatch, capsys):
    few = {"nin": TRUNKS["nin"], "wrn_28_2": TRUNKS["wrn_28_2"]}
    monkeypatch.setattr(networks, "TRUNKS", few)
    __main__.show(__main__.Options())
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["nin", "1,005,312", "3,200", "225", "24"]
    assert lines[2].split() == ["wrn_28_2", "1,466,320", "3,616", "302", "106"]
