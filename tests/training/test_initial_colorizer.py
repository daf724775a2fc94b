"""A trunk that begins as a colorizer's encoder."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest

from color_s4l import train
from color_s4l.networks.encoder import LUMINANCE, encoder, weights_of
from color_s4l.training.session import fit
from colorization.colorizer import Colorizer
from colorization.networks import Shape, build

WIDTH = 0.0625


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_luminance_has_three_shares():
    assert sum(LUMINANCE) == pytest.approx(1)


@pytest.mark.parametrize("network", ["encoder_decoder", "inception_fusion"])
def test_a_grey_image_gives_the_colorizers_own_features(network, monkeypatch):
    if network == "inception_fusion":  # 56 million weights, of which none is asked for
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
    inputs = inner.inputs[0]
    original = keras.Model(inputs, inner.get_layer("encoder_8").output)
    trunk = encoder((32, 32, 3), width=WIDTH)
    trunk.set_weights(weights_of(colorizer))
    grey = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 1)).astype("float32")
    expected = numpy_of(original(grey))
    assert expected.shape == (3, 4, 4, 16)
    assert np.ptp(expected) > 0.01
    found = numpy_of(trunk(np.repeat(grey, 3, axis=3)))
    assert found == pytest.approx(expected, abs=1e-5)


def test_trains_from_a_colorizer_with_a_frozen_block(tiny, colorizer_file, tmp_path):
    run = dataclasses.replace(
        tiny,
        method="supervised",
        network="encoder",
        width=WIDTH,
        init_from=str(colorizer_file),
        freeze_blocks=1,
        epochs=1,
        run_dir=str(tmp_path / "run"),
    )
    fit(run)
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    trained = model.get_layer("trunk").get_weights()
    began = weights_of(Colorizer.load(colorizer_file).model)
    stayed = [np.array_equal(a, b) for a, b in zip(trained, began, strict=True)]
    # The first block: two convolutions, each a kernel and a bias.
    assert stayed == [True] * 4 + [False] * 12
    # The others have moved, not begun elsewhere: 6 steps change little.
    for now, then in zip(trained[4::2], began[4::2], strict=True):
        assert np.linalg.norm(now - then) < 0.5 * np.linalg.norm(then)
    assert not model.get_layer("preprocessing").zca


@pytest.mark.parametrize(
    ("flags_changed", "text"),
    [
        (["--network=convnet"], "give --network=encoder --width=0.0625 (a colorizer)"),
        (["--width=0.125"], "give --network=encoder --width=0.0625 (a colorizer)"),
        (["--freeze_blocks=4"], "--freeze_blocks=4: this network has 3 blocks"),
        (["--init_from={finished}"], "another trunk: give its --network and --width"),
        (["--init_from={truncated}"], "truncated.h5 is no classifier of this library"),
        (["--init_from={text}"], "text.h5 is no classifier of this library"),
    ],
)
def test_train_refuses(
    flags_changed, text, tiny, finished, colorizer_file, flags, tmp_path, refused
):
    content = pathlib.Path(colorizer_file).read_bytes()
    (tmp_path / "truncated.h5").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.h5").write_text("no model")
    places = {
        "finished": finished.run_dir,
        "truncated": tmp_path / "truncated.h5",
        "text": tmp_path / "text.h5",
    }
    run = dataclasses.replace(
        tiny,
        network="encoder",
        width=WIDTH,
        init_from=str(colorizer_file),
        run_dir=str(tmp_path / "run"),
    )
    words = [word.format(**places) for word in flags_changed]
    assert text in refused(train.main([*flags(run), *words]))
    assert not (tmp_path / "run").exists()
