"""Runs that start from a weight file of Keras."""

import dataclasses
import hashlib
import json
import pathlib

import keras
import numpy as np
import pandas as pd
import pytest

import color_s4l
from color_s4l import data, settings
from color_s4l.networks.pretrained import SMALLEST_NETWORK
from color_s4l.recipes.procedure import stages_of
from color_s4l.settings import Run
from color_s4l.training import session

pytestmark = pytest.mark.usefixtures("untraced")


class StoppedError(Exception):
    pass


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def keras_network():
    """Keras' network for raw pixels, whose weights a run starts from."""
    keras.utils.set_random_seed(5)
    return keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )


@pytest.fixture(scope="module")
def weights_file(keras_network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    keras_network.save_weights(path)
    return path


@pytest.fixture
def run(base, weights_file, tmp_path):
    """A run of one epoch that trains only the head."""
    return dataclasses.replace(
        base,
        network=SMALLEST_NETWORK,
        weights=str(weights_file),
        width=1.0,
        image_size=32,
        method="supervised",
        labeled_batch=8,
        freeze_blocks=-1,
        run_dir=str(tmp_path / "run"),
    )


def features_of(run_dir, images):
    model = keras.models.load_model(pathlib.Path(run_dir) / "model.keras")
    values = model.get_layer("preprocessing")(images)
    return numpy_of(model.get_layer("trunk")(values, training=False))


def test_the_exported_model_has_the_features_of_keras(run, keras_network, weights_file):
    session.train(run)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    expected = numpy_of(keras_network(images.astype("float32")))
    found = features_of(run.run_dir, images)
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)
    config = json.loads((pathlib.Path(run.run_dir) / "config.json").read_text())
    digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()
    assert config["digests"]["weights"] == digest
    assert config["settings"]["normalization"] == "imagenet"
    assert config["settings"]["trunk_rate"] == 0.1


def test_a_resumed_run_does_not_need_the_imagenet_file(
    run, keras_network, weights_file, monkeypatch
):
    def stop(epoch, logs):
        raise StoppedError

    def offline(*arguments, **settings):
        raise Exception("URL fetch failure")

    run = dataclasses.replace(run, weights="imagenet", epochs=2)
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: str(weights_file))
    stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(StoppedError):
        session.train(run, extra_callbacks=[stopping])
    monkeypatch.setattr(keras.utils, "get_file", offline)
    session.train(dataclasses.replace(run, resume=True))
    log = pd.read_csv(pathlib.Path(run.run_dir) / "log.csv")
    assert log["epoch"].tolist() == [1, 2]
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    expected = numpy_of(keras_network(images.astype("float32")))
    found = features_of(run.run_dir, images)
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)


def test_a_resumed_run_with_adapters_saves_an_ordinary_model(base, finished, tmp_path):
    def stop(epoch, logs):
        raise StoppedError

    run = dataclasses.replace(
        base,
        method="supervised",
        init_from=finished.run_dir,
        lora_rank=2,
        zca=True,
        epochs=2,
        run_dir=str(tmp_path / "run"),
    )
    stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(StoppedError):
        session.train(run, extra_callbacks=[stopping])
    result = session.train(dataclasses.replace(run, resume=True))
    before, after = color_s4l.load(finished.run_dir), color_s4l.load(run.run_dir)
    images = data.load(settings.part(run, settings.DataSettings))
    found = after.error_rate(images.test_images, images.test_labels)
    assert found == pytest.approx(result["error"])
    weights = [
        model.network.get_layer("trunk").get_weights() for model in (before, after)
    ]
    changed = [not np.array_equal(*pair) for pair in zip(*weights, strict=True)]
    kernels = [weight.ndim == 4 for weight in weights[0]]
    assert changed == kernels
    assert settings.trunk_rate_of(run) == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "--lora_rank=2 keeps the weights of the trunk, which are random: set --i"),
        ({"freeze_blocks": 1}, "freezes all weights of the trunk: remove --freeze"),
        ({"method": "knn", "init_from": "a"}, "knn does not train the trunk: remove"),
    ],
)
def test_train_refuses_adapters_without_a_use(changes, text, train_refuses):
    train_refuses(text, lora_rank=2, **changes)


@pytest.mark.parametrize(
    ("network", "weights", "rate"),
    [("convnet", "none", 1.0), (SMALLEST_NETWORK, "imagenet", 0.1)],
)
def test_later_stages_of_a_recipe_keep_the_rate(network, weights, rate, tmp_path):
    run = Run(recipe="rotnet_finetune", network=network)
    (_, first), (_, second) = stages_of(run, tmp_path)
    assert settings.inputs_of(first).weights == weights
    assert settings.inputs_of(second).weights == "none"
    assert second.init_from == str(tmp_path / "pretraining")
    assert (first.trunk_rate, second.trunk_rate) == (rate, rate)


def test_given_weights_are_read_by_the_first_stage_only(tmp_path):
    run = Run(recipe="rotnet_linear", network=SMALLEST_NETWORK, weights="a.h5")
    (_, first), (_, second) = stages_of(run, tmp_path)
    assert (first.weights, second.weights) == ("a.h5", None)


def test_train_refuses_wrong_widths_and_files(train_refuses, weights_file, tmp_path):
    shape = {"network": SMALLEST_NETWORK, "image_size": 32}
    train_refuses("Expected --width to be 1", weights="none", **shape)
    path = tmp_path / "text.h5"
    path.write_text("no weights")
    text = r"text\.h5 to contain the weights of keras\.applications\.MobileNet"
    train_refuses(text, weights=str(path), **{**shape, "width": 1.0})
    other = {**shape, "network": "applications/mobilenetv3large", "width": 1.0}
    text = r"to contain the weights of .*MobileNetV3Large"
    train_refuses(text, weights=str(weights_file), **other)


def test_train_refuses_imagenet_weights_without_a_connection(
    train_refuses, tmp_path, monkeypatch
):
    def offline(*arguments, **settings):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    text = (
        rf"Cannot download https://.*into the folder {tmp_path}/models, or set --weig"
    )
    shape = {"network": SMALLEST_NETWORK, "image_size": 32, "width": 1.0}
    train_refuses(text, **shape)
