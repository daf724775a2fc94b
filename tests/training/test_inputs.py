"""Runs without classes, and runs that start from other weights."""

import dataclasses
import json
import pathlib
import shutil

import keras
import numpy as np
import pandas as pd
import pytest

import color_s4l
from color_s4l import evaluate
from color_s4l.artifacts import tables
from color_s4l.errors import InputError
from color_s4l.networks import Network, structure
from color_s4l.networks.encoder import LUMINANCE, encoder, weights_of
from color_s4l.registry import TRUNKS
from color_s4l.settings import from_json
from color_s4l.training import inputs, session
from colorization.colorizer import Colorizer
from colorization.networks import Shape, build

WIDTH = 0.0625


def trunk_of(run_dir, suffix=".keras"):
    model = keras.models.load_model(pathlib.Path(run_dir) / f"model{suffix}")
    return model.get_layer("trunk")


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def rotnet(rotnet_linear):
    """The directory of a run on rotations only."""
    return rotnet_linear / "pretraining"


def test_without_classes_the_error_is_that_of_the_proxy_task(rotnet):
    result = json.loads((rotnet / "result.json").read_text())
    log = pd.read_csv(rotnet / "log.csv")
    assert {"proxy_loss", "proxy_error", "test_proxy_error"} <= set(log)
    assert not {"class_loss", "test_error", "train_error"} & set(log)
    assert result["error"] is result["error_augmented"] is None
    assert result["proxy_error"] == log["test_proxy_error"].iloc[-1]
    # 32 test images, 4 rotations: multiples of 100 / 128.
    assert (result["proxy_error"] * 1.28) % 1 == pytest.approx(0, abs=1e-6)
    assert "best" not in result


def test_without_classes_the_model_is_an_encoder(rotnet, small):
    model = keras.models.load_model(rotnet / "model.keras")
    features = model.predict(small.test_images, verbose=0)
    assert features.shape == (32, model.get_layer("trunk").output_shape[-1])
    assert np.ptp(features, axis=0).max() > 0
    with np.load(rotnet / "heads.npz") as heads:
        shapes = {name: heads[name].shape for name in heads.files}
    assert shapes == {"proxy/0": (features.shape[1], 4), "proxy/1": (4,)}


def test_an_encoder_is_no_classifier(rotnet, refused):
    text = "was trained without classes: start another run from it with `init_from`"
    with pytest.raises(color_s4l.InputError, match=text):
        color_s4l.load(rotnet)
    assert "without classes" in refused(evaluate.main([f"--run={rotnet}"]))
    assert pd.isna(tables.rows([rotnet])["error"]).all()


def test_train_refuses_heads_of_another_size(rotnet_linear, train_refuses):
    for path in ("", "/model.h5"):
        run = f"{rotnet_linear}/pretraining{path}"
        text = "the head 'proxy' of .* has 4 classes; expected 6"
        train_refuses(text, method="sesemi", init_from=run, init_heads=True)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_linear_probe_leaves_the_trunk_bit_equal(rotnet_linear, suffix):
    trunk = trunk_of(rotnet_linear / "linear", suffix)
    before = trunk_of(rotnet_linear / "pretraining")
    # Up to the probed layer, the widest of the last block: 512 of 512, 256 and 128.
    assert trunk.output_shape[-1] == max(
        layer.output.shape[-1] for layer in before.layers
    )
    kept = structure.cut(before, structure.widest_layer(before))
    assert len(kept.weights) < len(before.weights)
    for now, then in zip(trunk.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(now, then)
    # A saved model has no frozen layers, so that it can be trained further.
    assert len(trunk.trainable_weights) == len(kept.trainable_weights) > 0


def test_the_probe_counts_all_parameters(rotnet_linear):
    probe = json.loads((rotnet_linear / "linear" / "result.json").read_text())
    trunk = trunk_of(rotnet_linear / "linear")
    head = 4 * (trunk.output_shape[-1] + 1)  # four classes
    assert probe["parameters"] == structure.statistics(trunk).trainable + head
    config = json.loads((rotnet_linear / "linear" / "config.json").read_text())
    assert len(config["digests"]["init_from"]) == 64


def test_a_resumed_run_has_the_same_initial_weights(
    rotnet_linear, tmp_path, monkeypatch
):
    folder = shutil.copytree(rotnet_linear / "linear", tmp_path / "run")
    (folder / "result.json").unlink()
    read = inputs.read_initial

    def changed(path, *, heads):
        found = read(path, heads=heads)
        return dataclasses.replace(found, trunk=(found.trunk[0] + 1, *found.trunk[1:]))

    monkeypatch.setattr(inputs, "read_initial", changed)
    values = json.loads((folder / "config.json").read_text())["run"]
    run = dataclasses.replace(from_json(values), run_dir=str(folder), resume=True)
    text = r"`init_from`=.*/pretraining has changed since the start"
    with pytest.raises(InputError, match=text):
        session.train(run)


def test_the_digest_contains_the_heads_that_are_used(finished, tmp_path):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")

    def digests():
        return [inputs.read_initial(folder, heads=h).digest for h in (False, True)]

    bare, whole = digests()
    with np.load(folder / "heads.npz") as stored:
        heads = dict(stored)
    heads["class/1"] = heads["class/1"] + 1
    np.savez(folder / "heads.npz", **heads)
    assert digests()[0] == bare != whole
    assert digests()[1] not in (bare, whole)


def test_heads_that_both_networks_have_are_loaded(finished):
    initial = inputs.read_initial(finished.run_dir, heads=True)
    assert set(initial.heads) == {"class", "proxy"}
    network = Network(
        TRUNKS["convnet"]((16, 16, 3), width=0.03), {"proxy": 7, "other": 4}, 0.0
    )
    network(np.zeros((1, 16, 16, 3), "float32"))
    other = network.heads["other"].get_weights()
    initial.assign_to(network)
    for name, expected in (("proxy", initial.heads["proxy"]), ("other", other)):
        for found, array in zip(
            network.heads[name].get_weights(), expected, strict=True
        ):
            np.testing.assert_array_equal(found, array)
    for found, array in zip(network.trunk.get_weights(), initial.trunk, strict=True):
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("network", ["encoder_decoder", "inception_fusion"])
def test_a_grey_image_has_the_features_of_the_colorizer(network, monkeypatch):
    assert sum(LUMINANCE) == pytest.approx(1)
    if network == "inception_fusion":  # without its 56 million weights
        embedder = keras.Sequential(
            [
                keras.Input((None, None, 1)),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(1000),
            ]
        )
        monkeypatch.setattr(
            "colorization.embedding.build", lambda weights, size: embedder
        )
    colorizer = build(network, Shape(width=WIDTH)).whole
    inner = colorizer
    if network == "inception_fusion":
        inner = colorizer.get_layer("colorize")
    original = keras.Model(inner.inputs[0], inner.get_layer("encoder_8").output)
    trunk = encoder((32, 32, 3), width=WIDTH)
    trunk.set_weights(weights_of(colorizer))
    grey = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 1)).astype("float32")
    expected = numpy_of(original(grey))
    assert expected.shape == (3, 4, 4, 16)
    assert np.ptp(expected) > 0.01
    found = numpy_of(trunk(np.repeat(grey, 3, axis=3)))
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_run_starts_from_a_colorizer_with_a_frozen_block(
    base, colorizer_file, tmp_path
):
    run = dataclasses.replace(
        base,
        method="supervised",
        network="encoder",
        width=WIDTH,
        zca=None,
        init_from=str(colorizer_file),
        freeze_blocks=1,
        run_dir=str(tmp_path / "run"),
    )
    session.train(run)
    trained = trunk_of(run.run_dir).get_weights()
    stored = trunk_of(run.run_dir, ".h5").get_weights()
    for one, other in zip(trained, stored, strict=True):
        np.testing.assert_array_equal(one, other)
    began = weights_of(Colorizer.load(colorizer_file).model)
    stayed = [np.array_equal(a, b) for a, b in zip(trained, began, strict=True)]
    # The first block: two convolutions, each a kernel and a bias.
    assert stayed == [True] * 4 + [False] * 12
    # The others have changed a little in 3 steps; they did not start elsewhere.
    for now, then in zip(trained[4::2], began[4::2], strict=True):
        assert np.linalg.norm(now - then) < 0.5 * np.linalg.norm(then)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"]["zca"] is False
