"""The architectures: parameters counted by hand, any size, fusion as published."""

import keras
import numpy as np
import pytest
from keras import ops

from color_s4l.errors import InputError
from colorization import networks, train
from colorization.networks import Shape, blocks, inception, inception_fusion


def test_parameters_of_the_encoder_decoder():
    # A 3x3 convolution has 9 * in * out + out. Encoder: 1>64 640, 64>128 73,856,
    # 128>128 147,584, 128>256 295,168, 256>256 590,080, 256>512 1,180,160,
    # 512>512 2,359,808, 512>256 1,179,904: together 5,827,200. Decoder: 256>256
    # 590,080, 256>128 295,040, 128>64 73,792, 64>64 36,928, 64>32 18,464, 32>16
    # 4,624, 16>2 290: together 1,019,218.
    model = networks.build("encoder_decoder", Shape()).whole
    assert model.count_params() == 5_827_200 + 1_019_218


def test_parameters_of_the_fusion():
    # Encoder as above. Fusion: 1x1 over 256 + 1000 channels to 256, 1,256 * 256 +
    # 256 = 321,792. Decoder: 256>128 295,040, 128>64 73,792, 64>64 36,928, 64>32
    # 18,464, 32>2 578: together 424,802.
    model = inception_fusion._trained(width=1.0)
    assert model.count_params() == 5_827_200 + 321_792 + 424_802


def test_fusion_is_the_convolution_of_the_tiled_embedding():
    draws = np.random.default_rng(0)
    features = draws.normal(size=(2, 3, 4, 8)).astype("float32")
    embedding = draws.normal(size=(2, 5)).astype("float32")
    inputs = [keras.Input((None, None, 8)), keras.Input((5,))]
    model = keras.Model(inputs, inception_fusion._fuse(*inputs, width=1 / 64))
    tiled = np.tile(embedding[:, None, None], (1, 3, 4, 1))
    here, bias = model.get_layer("fuse_features").get_weights()
    (everywhere,) = model.get_layer("fuse_embedding").get_weights()
    kernel = np.concatenate([here[0, 0], everywhere])  # 8 + 5 channels to 4
    expected = np.concatenate([features, tiled], axis=-1) @ kernel + bias
    found = np.asarray(model([features, embedding]))
    assert found == pytest.approx(np.maximum(expected, 0), abs=1e-5)


def test_residual_sum():
    # 2 + 0.5 * 6 = 5
    layer = inception.CustomScaleLayer(scale=0.5)
    assert float(layer([ops.ones(()) * 2, ops.ones(()) * 6])) == 5.0


def test_width_scales_the_filters():
    assert blocks.scaled(64, 0.25) == 16
    assert blocks.scaled(64, 0.001) == 1


def test_colors_are_bounded_and_of_the_inputs_size():
    model = networks.build("encoder_decoder", Shape(width=0.1)).whole
    lightness = np.full((2, 40, 24, 1), 1e3, "float32")
    colors = np.asarray(model(lightness))
    assert colors.shape == (2, 40, 24, 2)
    assert np.abs(colors).max() <= 1


def test_command_offers_every_network():
    choices = train.Train.__dataclass_fields__["network"].metadata["choices"]
    assert set(choices) == set(networks.NETWORKS)


def test_unknown_network():
    with pytest.raises(InputError, match=r"no network 'encoder'\. Did you mean"):
        networks.build("encoder", Shape())


def test_embedding_too_small():
    with pytest.raises(InputError, match=r"at least 75 px\. Received: 74"):
        networks.build("inception_fusion", Shape(embedding_size=74))


def test_embedding_weights_missing(monkeypatch):
    monkeypatch.setattr(inception, "_inception", lambda size, weights: None)
    with pytest.raises(InputError, match=r"'no_such\.h5', which does not exist"):
        inception._weighted(75, "no_such.h5")


def test_failed_download_says_what_to_do(monkeypatch):
    def refuse(size, weights):
        raise Exception("URL fetch failure:\n unreachable")

    monkeypatch.setattr(inception, "_inception", refuse)
    with pytest.raises(
        InputError, match=r"fetch failure: unreachable\)\. Give .*=none"
    ):
        inception._download()
