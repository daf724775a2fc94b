"""The architectures: parameters counted by hand, any size, fusion as published."""

import dataclasses
import json
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

from color_s4l import command_line
from color_s4l.artifacts import models
from color_s4l.errors import InputError
from colorization import (
    embedding,
    histogram,
    hue_chroma,
    lab,
    networks,
    train,
    training,
)
from colorization.colorizer import Colorizer
from colorization.networks import Shape


def test_parameters_of_the_encoder_decoder():
    # A 3x3 convolution has 9 * in * out + out. Encoder: 1>64 640, 64>128 73,856,
    # 128>128 147,584, 128>256 295,168, 256>256 590,080, 256>512 1,180,160,
    # 512>512 2,359,808, 512>256 1,179,904: together 5,827,200. Decoder: 256>256
    # 590,080, 256>128 295,040, 128>64 73,792, 64>64 36,928, 64>32 18,464, 32>16
    # 4,624, 16>2 290: together 1,019,218.
    model = networks.build("encoder_decoder", Shape()).whole
    assert model.count_params() == 5_827_200 + 1_019_218


def test_the_hypercolumns_of_the_histogram_network():
    # Maps of 128, 256 and 256 filters at 1/2, 1/4 and 1/8: 640 channels to 256 hidden
    # units, 164,096, and to 64 logits, 16,448.
    model = networks.build("histogram", Shape()).whole
    assert model.count_params() == 5_827_200 + 164_096 + 16_448
    column = model.get_layer("hypercolumn").output
    assert column.shape[-1] == 128 + 256 + 256


def test_the_histogram_network_from_training_to_file(settings, crops, tmp_path):
    chosen = dataclasses.replace(
        settings, network="histogram", shape=Shape(width=0.1), epochs=3
    )
    images = crops(100)
    task = training._task(training.build(chosen), chosen)
    before = task.evaluate({"images": images}, verbose=0, return_dict=True)["loss"]
    colorizer = training.train(images, chosen, dataset="photographs")
    logits = colorizer.model.get_layer("logits").output
    part = keras.Model(colorizer.model.inputs[0], logits)
    lightness, _ = lab.split(images)
    after = float(histogram.loss(images, part(lightness)))
    assert after < before
    colors = colorizer.predict(images)
    assert colors.shape == (100, 32, 32, 2)
    assert np.abs(colors).max() <= 1
    for name in ("one.h5", "one.keras"):
        colorizer.save(tmp_path / name)
        again = Colorizer.load(tmp_path / name)
        assert again.origin.network == "histogram"
        assert again.predict(images) == pytest.approx(colors, abs=1e-6)


def test_decoded_colours_are_those_of_the_pixels(crops):
    # A very certain histogram with the bin of each pixel.
    images = crops(4)
    values = hue_chroma.hue_chroma(images.astype("float32") / 255)
    targets = [hue_chroma.histograms(value) for value in values[:2]]
    logits = 100.0 * np.concatenate([np.asarray(t) for t in targets], axis=-1)
    lightness, colors = lab.split(images)
    found = np.asarray(histogram.decoded(lightness, logits.astype("float32")))
    assert np.abs(found - np.asarray(colors)).mean() < 0.02


def test_parameters_of_the_fusion():
    # Encoder as above. Fusion: 1x1 over 256 + 1000 channels to 256, 1,256 * 256 +
    # 256 = 321,792. Decoder: 256>128 295,040, 128>64 73,792, 64>64 36,928, 64>32
    # 18,464, 32>2 578: together 424,802.
    model = networks._fusion(width=1.0)
    assert model.count_params() == 5_827_200 + 321_792 + 424_802


def test_fusion_is_the_convolution_of_the_tiled_embedding():
    draws = np.random.default_rng(0)
    features = draws.normal(size=(2, 3, 4, 8)).astype("float32")
    embedded = draws.normal(size=(2, 5)).astype("float32")
    inputs = [keras.Input((None, None, 8)), keras.Input((5,))]
    model = keras.Model(inputs, networks._fuse(*inputs, width=1 / 64))
    tiled = np.tile(embedded[:, None, None], (1, 3, 4, 1))
    here, bias = model.get_layer("fuse_features").get_weights()
    (everywhere,) = model.get_layer("fuse_embedding").get_weights()
    kernel = np.concatenate([here[0, 0], everywhere])  # 8 + 5 channels to 4
    expected = np.concatenate([features, tiled], axis=-1) @ kernel + bias
    found = np.asarray(model([features, embedded]))
    assert found == pytest.approx(np.maximum(expected, 0), abs=1e-5)


def test_residual_sum():
    # 2 + 0.5 * 6 = 5
    layer = embedding.CustomScaleLayer(scale=0.5)
    assert float(layer([ops.ones(()) * 2, ops.ones(()) * 6])) == 5.0


def test_width_scales_the_filters():
    assert networks.scaled(64, 0.25) == 16
    assert networks.scaled(64, 0.001) == 1


def test_colors_are_bounded_and_of_the_inputs_size():
    model = networks.build("encoder_decoder", Shape(width=0.1)).whole
    lightness = np.full((2, 40, 24, 1), 1e3, "float32")
    colors = np.asarray(model(lightness))
    assert colors.shape == (2, 40, 24, 2)
    assert np.abs(colors).max() <= 1


def test_command_offers_every_network():
    choices = command_line._choices(train.Train, "network")
    assert set(choices) == set(networks.NETWORKS)


def test_unknown_network():
    with pytest.raises(InputError, match=r"no network 'encoder'\. Did you mean"):
        networks.build("encoder", Shape())


def test_embedding_too_small():
    with pytest.raises(InputError, match=r"at least 75\. Received: 74"):
        networks.build("inception_fusion", Shape(embedding_size=74))


def test_embedding_weights_missing(monkeypatch):
    monkeypatch.setattr(embedding, "_inception", lambda size, weights: None)
    with pytest.raises(InputError, match=r"'no_such\.h5', which does not exist"):
        embedding._weighted(75, "no_such.h5")


def test_failed_download_says_what_to_do(monkeypatch):
    def refuse(size, weights):
        raise Exception("URL fetch failure:\n unreachable")

    monkeypatch.setattr(embedding, "_inception", refuse)
    with pytest.raises(
        InputError, match=r"fetch failure: unreachable\)\. Repeat .*or to none"
    ):
        embedding._download()


def _small_inception(size, weights):
    """Replaces Inception-ResNet-v2."""
    images = keras.Input((size, size, 3))
    mean = keras.layers.GlobalAveragePooling2D()(images)
    return keras.Model(images, keras.layers.Dense(embedding.FEATURES)(mean))


def test_the_embedding_network_may_be_stored_by_reference(
    settings, tmp_path, monkeypatch, crops
):
    monkeypatch.setattr(embedding, "_inception", _small_inception)
    path, other = (str(tmp_path / f"{name}.weights.h5") for name in ("own", "other"))
    for name in (path, other):
        _small_inception(75, None).save_weights(name)
    fusion = dataclasses.replace(
        settings,
        network="inception_fusion",
        shape=Shape(0.0625, path, 75),
        embedding="reference",
        epochs=1,
    )
    images = crops(4, 16)
    colorizer = training.train(images, fusion, dataset="photographs")
    expected = colorizer.predict(images)
    notes = {}
    for kind in ("stored", "reference"):
        origin = dataclasses.replace(colorizer.origin, embedding=kind)
        file = tmp_path / f"{kind}.keras"
        Colorizer(colorizer.model, origin).save(file)
        again = Colorizer.load(file)
        assert again.predict(images) == pytest.approx(expected, abs=1e-5)
        assert again.digest == colorizer.digest
        notes[kind] = models.read_note(file, models.COLORIZER_NOTE)
    configurations = [json.dumps(configuration) for configuration, _ in notes.values()]
    assert ["global_average" in text for text in configurations] == [True, False]
    pathlib.Path(other).rename(path)
    with pytest.raises(InputError, match="trained with other weights of Inception"):
        Colorizer.load(file)
    with pytest.raises(InputError, match="Set `embedding_weights` to imagenet or a"):
        dataclasses.replace(fusion, shape=Shape(0.0625, "none", 75))


def test_fusion_from_training_to_file(settings, tmp_path, monkeypatch, crops):
    """Builds Inception-ResNet-v2; the only such test, because it takes seconds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    computed = []
    compute = embedding.compute

    def counted(embedder, images, verbosity):
        computed.append(len(images))
        return compute(embedder, images, verbosity)

    monkeypatch.setattr(embedding, "compute", counted)
    shape = Shape(width=0.0625, embedding_weights="none", embedding_size=75)
    fusion = dataclasses.replace(
        settings, network="inception_fusion", shape=shape, epochs=2
    )
    images = crops(6, 20)  # 20 is not divisible by 8
    parts = training.build(fusion)
    before = [np.asarray(w) for w in parts.embedder.get_weights()]
    colorizer = training.train(
        images, fusion, dataset="photographs", validation_images=images[:2], parts=parts
    )
    assert computed == [6, 2]  # once each, not once per epoch
    embedding.cached(parts.embedder, training.pad(images))
    assert computed == [6, 2]  # read from the cache
    for old, new in zip(before, parts.embedder.get_weights(), strict=True):
        assert np.array_equal(old, new)  # frozen
    path = tmp_path / "fusion.h5"
    colorizer.save(path)
    again = Colorizer.load(path)
    assert again.origin.embedding_size == 75
    expected = colorizer.predict(images)
    assert again.predict(images) == pytest.approx(expected, abs=1e-5)
