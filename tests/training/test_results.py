"""What a complete run leaves in its folder."""

import dataclasses
import json
import pathlib

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.settings import DataSettings


@pytest.fixture(scope="module")
def folder(finished):
    return pathlib.Path(finished.run_dir)


@pytest.fixture(scope="module")
def log(folder):
    return pd.read_csv(folder / "log.csv")


def test_everything_named_is_there_and_nothing_else(folder):
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    events = {name for name in found if name.startswith("tensorboard/events")}
    assert len(events) == 1
    assert found - events == {
        "config.json",
        "split.csv",
        "log.csv",
        "result.json",
        "model.keras",
        "model.h5",
        "heads.npz",
        "preprocessing.npz",
        "samples.npz",
        "checkpoints/epoch_00001.npz",
        "checkpoints/epoch_00002.npz",
        "pictures/views.png",
        "pictures/curves.png",
        "pictures/confusion.png",
    }


def test_configuration_says_what_was_run_where(folder, finished):
    config = json.loads((folder / "config.json").read_text())
    given = json.loads(json.dumps(dataclasses.asdict(finished)))
    assert config["run"] == given
    assert config["resolved"] == {"zca": True, "hflip": True}
    assert config["classes"] == ["0", "1", "2", "3"]
    assert config["versions"]["keras"] == keras.__version__
    assert {"python", "numpy", "color-s4l"} <= set(config["versions"])
    assert "cores" in config["hardware"]
    assert config["backend"] == keras.backend.backend()
    assert config["command"]


def test_split_is_the_one_drawn_from_the_seed(folder, finished):
    dataset = data.load(DataSettings("folder", finished.data_dir, 16))
    split = data.read_split(folder / "split.csv", dataset)
    drawn = data.draw_split(dataset.labels, dataset.classes, 16, 24, 8, 1)
    for part in ("labeled", "unlabeled", "validation"):
        assert getattr(split, part).tolist() == getattr(drawn, part).tolist()


def test_log_has_every_term_and_they_add_up(log):
    assert set(log) == {
        "epoch",
        "loss",
        "class_loss",
        "proxy_loss",
        "weight_decay",
        "train_error",
        "proxy_error",
        "images_per_second",
        "loading_images_per_second",
        "loading_busy",
        "learning_rate",
        "test_error",
        "validation_error",
    }
    assert log["epoch"].tolist() == [1, 2]
    parts = log[["class_loss", "proxy_loss", "weight_decay"]].sum(axis=1)
    assert parts.tolist() == pytest.approx(log["loss"].tolist(), rel=1e-4)
    # 3 steps an epoch, T = 6: 0.05 sqrt(1/2) after the first epoch, then 0.
    assert log["learning_rate"].tolist() == pytest.approx([0.05 * 0.5**0.5, 0])
    assert (log["images_per_second"] > 0).all()
    # 24 unlabelled images, 7 views: errors are multiples of 100/168.
    shares = log["proxy_error"] * 1.68
    assert shares.tolist() == pytest.approx(shares.round().tolist(), abs=1e-3)


def test_result_is_the_last_epochs(folder, log):
    result = json.loads((folder / "result.json").read_text())
    assert result["error"] == pytest.approx(log["test_error"].iloc[-1])
    assert result["epoch"] == 2
    assert result["best"]["error"] == pytest.approx(log["test_error"].min())
    assert result["best"]["note"] == "selected on test"
    row = log.loc[log["validation_error"].idxmin()]
    assert result["selected"]["error"] == pytest.approx(row["test_error"])
    assert result["selected"]["note"] == "selected on validation"
    assert 0 <= result["error_augmented"] <= 100
    assert (result["test_images"], result["labels"], result["unlabeled"]) == (
        32,
        16,
        24,
    )


def test_models_take_raw_images_and_agree(folder, small):
    import color_s4l.views.preprocessing  # noqa: F401, registers the layer

    models = [keras.models.load_model(folder / f"model{s}") for s in (".keras", ".h5")]
    outputs = [model.predict(small.test_images, verbose=0) for model in models]
    assert outputs[0] == pytest.approx(outputs[1], abs=1e-6)
    assert outputs[0].sum(axis=1) == pytest.approx(1, abs=1e-5)
    error = 100 * np.mean(outputs[0].argmax(axis=1) != small.test_labels)
    assert error == json.loads((folder / "result.json").read_text())["error"]


def test_samples_are_the_images_that_a_report_shows(folder, small, log):
    with np.load(folder / "samples.npz", allow_pickle=False) as stored:
        samples = dict(stored)
    model = keras.models.load_model(folder / "model.keras")
    outputs = model.predict(small.test_images, verbose=0)
    assert samples["predicted"].tolist() == outputs.argmax(axis=1).tolist()
    assert samples["confidence"] == pytest.approx(outputs.max(axis=1), abs=1e-5)
    own = outputs[np.arange(32), small.test_labels]
    assert samples["true_probability"] == pytest.approx(own, abs=1e-5)
    mistakes = samples["mistakes"]
    assert (samples["predicted"] != samples["labels"])[mistakes].all()
    assert (np.diff(samples["confidence"][mistakes]) <= 0).all()
    wrong = (samples["predicted"] != samples["labels"]).sum()
    assert len(mistakes) == min(24, wrong)
    assert (samples["mistake_images"] == small.test_images[mistakes]).all()
    assert samples["tasks"].tolist()[0] == "identity"
    assert samples["views"].shape == (8, 7, 16, 16, 3)
    assert (samples["views"][:, 6] == samples["colorized"]).all()
    assert (samples["views"][:, 1] == np.rot90(samples["original"], axes=(1, 2))).all()
    # The proxy head's own: a distribution over the seven tasks for each view.
    assert samples["proxy_probabilities"].shape == (8, 7, 7)
    assert samples["proxy_probabilities"].sum(axis=2) == pytest.approx(1, abs=1e-5)
    assert np.ptp(samples["grey"].astype(int), axis=3).max() <= 1


def test_large_images_are_kept_small():
    from color_s4l.training import samples

    large = np.full((2, 240, 120, 3), 7, "uint8")
    assert samples._small(large).shape == (2, 96, 48, 3)
    assert (samples._small(large) == 7).all()
    assert samples._small(large[:0]).shape == (0, 240, 120, 3)


def test_pictures_are_pictures(folder):
    for name in ("views", "curves", "confusion"):
        with Image.open(folder / "pictures" / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert np.asarray(picture.convert("L")).std() > 5


def test_tensorboard_holds_the_log(folder, log):
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert set(events.Tags()["tensors"]) == set(log) - {"epoch"}
    losses = [
        float(np.frombuffer(event.tensor_proto.tensor_content, "float32")[0])
        if event.tensor_proto.tensor_content
        else event.tensor_proto.float_val[0]
        for event in events.Tensors("loss")
    ]
    assert losses == pytest.approx(log["loss"].tolist(), rel=1e-5)
