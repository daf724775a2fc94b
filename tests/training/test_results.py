"""The files in the directory of a complete run."""

import dataclasses
import json
import pathlib

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.settings import DataSettings, part
from color_s4l.terms.proxies import COLOR_S4L
from color_s4l.training import results


@pytest.fixture(scope="module")
def folder(finished):
    return pathlib.Path(finished.run_dir)


@pytest.fixture(scope="module")
def log(folder):
    return pd.read_csv(folder / "log.csv")


@pytest.fixture(scope="module")
def result(folder):
    return json.loads((folder / "result.json").read_text())


def test_every_file_is_there_and_no_other(folder):
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    events = {name for name in found if name.startswith("tensorboard/events")}
    assert len(events) == 1
    expected = """config.json split.csv log.csv result.json model.keras model.h5
    heads.npz samples.npz checkpoints/epoch_00001.npz
    checkpoints/epoch_00002.npz pictures/views.png pictures/curves.png
    pictures/confusion.png"""
    assert found - events == set(expected.split())


def test_configuration_has_settings_and_origin(folder, finished):
    config = json.loads((folder / "config.json").read_text())
    given = json.loads(json.dumps(dataclasses.asdict(finished)))
    assert config["run"] == given
    chosen = {
        "zca": True,
        "hflip": True,
        "labeled_batch": 56,
        "weights": "none",
        "crop": "shift",
        "trunk_rate": 1.0,
        "normalization": "contrast",
    }
    assert config["settings"] == {**given, **chosen}
    assert config["classes"] == ["0", "1", "2", "3"]
    assert config["image_size"] == 16
    assert config["versions"]["keras"] == keras.__version__
    assert {"python", "numpy", "color-s4l"} <= set(config["versions"])
    assert "cores" in config["hardware"]
    assert config["backend"] == keras.backend.backend()
    assert len(config["digests"]["colorizer"]) == 64
    assert config["command"].startswith("python -m color_s4l.train --dataset=folder")
    assert "run_dir" not in config["command"]


def test_split_is_drawn_from_the_seed(folder, finished):
    images = data.load(part(finished, DataSettings))
    split = data.read_split(folder / "split.csv", images)
    drawn = data.draw_split(images.labels, images.classes, 16, 24, 8, 1)
    for name in ("labeled", "unlabeled", "validation"):
        assert getattr(split, name).tolist() == getattr(drawn, name).tolist()


def test_log_has_every_term_and_their_sum_is_the_loss(log):
    expected = """epoch loss class_loss proxy_loss weight_decay train_error
    proxy_error images_per_second loading_images_per_second loading_busy seconds
    learning_rate test_error validation_error"""
    assert set(log) == set(expected.split())
    assert log["epoch"].tolist() == [1, 2]
    parts = log[["class_loss", "proxy_loss", "weight_decay"]].sum(axis=1)
    assert parts.tolist() == pytest.approx(log["loss"].tolist(), rel=1e-4)
    # 3 steps an epoch, T = 6: 0.05 sqrt(1/2) after the first epoch, then 0.
    assert log["learning_rate"].tolist() == pytest.approx([0.05 * 0.5**0.5, 0])
    assert (log["images_per_second"] > 0).all()
    # 24 unlabelled images, 7 views: errors are multiples of 100/168.
    shares = log["proxy_error"] * 1.68
    assert shares.tolist() == pytest.approx(shares.round().tolist(), abs=1e-3)


def test_result_is_that_of_the_last_epoch(result, log):
    assert result["error"] == pytest.approx(log["test_error"].iloc[-1])
    assert result["epoch"] == 2
    assert result["best"]["error"] == pytest.approx(log["test_error"].min())
    assert result["best"]["note"] == "selected on test"
    row = log.loc[log["validation_error"].idxmin()]
    assert result["selected"]["error"] == pytest.approx(row["test_error"])
    assert result["selected"]["note"] == "selected on validation"
    assert 0 <= result["error_augmented"] <= 100
    assert list(result["proxy_accuracy"]) == list(COLOR_S4L)
    # 32 test images; 24 unlabelled images are colourised.
    geometric = [result["proxy_accuracy"][task] for task in COLOR_S4L[:6]]
    assert all(accuracy * 32 / 100 % 1 == pytest.approx(0) for accuracy in geometric)
    numbers = (result["test_images"], result["labels"], result["unlabeled"])
    assert numbers == (32, 16, 24)
    # The epochs, and reading and evaluating the images.
    assert log["seconds"].sum() < result["seconds"] < log["seconds"].sum() + 600


def test_models_and_samples_agree(folder, small, result):
    models = [keras.models.load_model(folder / f"model{s}") for s in (".keras", ".h5")]
    outputs, others = (m.predict(small.test_images, verbose=0) for m in models)
    assert outputs == pytest.approx(others, abs=1e-6)
    assert outputs.sum(axis=1) == pytest.approx(1, abs=1e-5)
    error = 100 * np.mean(outputs.argmax(axis=1) != small.test_labels)
    assert error == result["error"]
    with np.load(folder / "samples.npz", allow_pickle=False) as stored:
        samples = dict(stored)
    assert samples["predicted"].tolist() == outputs.argmax(axis=1).tolist()
    assert samples["confidence"] == pytest.approx(outputs.max(axis=1), abs=1e-5)
    own = outputs[np.arange(32), small.test_labels]
    assert samples["true_probability"] == pytest.approx(own, abs=1e-5)
    mistakes = samples["mistakes"]
    wrong = samples["predicted"] != samples["labels"]
    assert wrong[mistakes].all()
    assert (np.diff(samples["confidence"][mistakes]) <= 0).all()
    assert len(mistakes) == min(24, wrong.sum())
    assert (samples["mistake_images"] == small.test_images[mistakes]).all()


def test_samples_have_the_proxy_views(folder):
    with np.load(folder / "samples.npz", allow_pickle=False) as stored:
        samples = dict(stored)
    assert samples["tasks"].tolist()[0] == "identity"
    assert samples["views"].shape == (8, 7, 16, 16, 3)
    assert (samples["views"][:, 6] == samples["colorized"]).all()
    assert (samples["views"][:, 1] == np.rot90(samples["original"], axes=(1, 2))).all()
    # A distribution over the seven tasks for each view.
    assert samples["proxy_probabilities"].shape == (8, 7, 7)
    assert samples["proxy_probabilities"].sum(axis=2) == pytest.approx(1, abs=1e-5)
    assert np.ptp(samples["grey"].astype(int), axis=3).max() <= 1


def test_large_images_are_stored_small():
    large = np.full((2, 240, 120, 3), 7, "uint8")
    assert results._small(large).shape == (2, 96, 48, 3)
    assert (results._small(large) == 7).all()
    assert results._small(large[:0]).shape == (0, 240, 120, 3)


def test_pictures_show_something(folder):
    for name in ("views", "curves", "confusion"):
        with Image.open(folder / "pictures" / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert np.asarray(picture.convert("L")).std() > 5


def test_tensorboard_has_the_log(folder, log):
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    assert set(events.Tags()["tensors"]) == set(log) - {"epoch"}
    losses = [
        float(np.frombuffer(event.tensor_proto.tensor_content, "float32")[0])
        if event.tensor_proto.tensor_content
        else event.tensor_proto.float_val[0]
        for event in events.Tensors("loss")
    ]
    assert losses == pytest.approx(log["loss"].tolist(), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "error      12.50 % after the last epoch (11.00 % with test-time aug"),
        ({"further": True}, "teacher    12.50 % after the last epoch"),
        ({"best": {"epoch": 3, "error": 9.0, "note": "x"}}, "best       9.00 % at"),
        ({"error": None}, "classes    not trained: start another run with `init_fr"),
        ({"error": None, "proxy_error": 40.0}, "proxy      40.00 % of the test"),
        ({"error": None, "test_images": 0}, "error      not measured: there are no"),
    ],
)
def test_results_are_logged_in_words(changes, expected, caplog):
    errors = {"error": 12.5, "error_augmented": 11.0}
    if "further" in changes:
        changes = {"further": {"teacher": errors}}
    caplog.set_level("INFO", "color_s4l")
    results.describe({**errors, "test_images": 5, "run_dir": "runs/a", **changes})
    assert any(line.startswith(expected) for line in caplog.messages), caplog.text
    assert caplog.messages[-1] == "written    runs/a"
