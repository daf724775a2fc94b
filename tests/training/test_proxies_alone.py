"""A run without classes: its measures, its files and its uses."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

import color_s4l
from color_s4l import evaluate
from color_s4l.artifacts import tables


@pytest.fixture(scope="module")
def rotnet(rotnet_linear):
    """The directory of a run on rotations only."""
    return rotnet_linear / "pretraining"


def test_the_error_is_that_of_the_proxy_task(rotnet):
    result = json.loads((rotnet / "result.json").read_text())
    log = pd.read_csv(rotnet / "log.csv")
    assert {"proxy_loss", "proxy_error", "test_proxy_error"} <= set(log)
    assert not {"class_loss", "test_error", "train_error"} & set(log)
    assert result["error"] is result["error_augmented"] is None
    assert result["proxy_error"] == log["test_proxy_error"].iloc[-1]
    # 32 test images, 4 rotations: multiples of 100 / 128.
    assert (result["proxy_error"] * 1.28) % 1 == pytest.approx(0, abs=1e-6)
    assert "best" not in result


def test_the_model_is_an_encoder(rotnet, small):
    model = keras.models.load_model(rotnet / "model.keras")
    features = model.predict(small.test_images, verbose=0)
    assert features.shape == (32, model.get_layer("trunk").output_shape[-1])
    assert np.ptp(features, axis=0).max() > 0
    with np.load(rotnet / "heads.npz") as heads:
        shapes = {name: heads[name].shape for name in heads.files}
    assert shapes == {"proxy/0": (features.shape[1], 4), "proxy/1": (4,)}


def test_the_run_has_no_classifier(rotnet, refused):
    text = "was trained without classes: start another run from it with `init_from`"
    with pytest.raises(color_s4l.InputError, match=text):
        color_s4l.load(rotnet)
    assert "without classes" in refused(evaluate.main([f"--run={rotnet}"]))
    assert pd.isna(tables.rows([rotnet])["error"]).all()
