"""Whole runs on small images: what they leave, and what stops them."""

import dataclasses
import json
import pathlib
import types

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.errors import InputError
from color_s4l.training.session import fit


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
        "preprocessing.npz",
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
    dataset = data.load("folder", finished.data_dir, 16)
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


def test_split_file_gives_the_same_split(finished, tiny, tmp_path, monkeypatch):
    from color_s4l.training import session

    def stop(*_):
        raise RuntimeError("far enough")

    monkeypatch.setattr(session, "_train", stop)
    split_file = pathlib.Path(finished.run_dir) / "split.csv"
    run = dataclasses.replace(
        tiny,
        labels=None,
        validation=0,
        unlabeled=None,
        seed=9,
        split_file=str(split_file),
        run_dir=str(tmp_path / "run"),
    )
    with pytest.raises(RuntimeError, match="far enough"):
        fit(run)
    assert (tmp_path / "run" / "split.csv").read_text() == split_file.read_text()


def test_says_what_it_is_going_to_do_before_it_does(
    tiny, tmp_path, monkeypatch, capsys
):
    from color_s4l.training import session

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "_write_beginning", stop)
    run = dataclasses.replace(tiny, run_dir=str(tmp_path / "run"))
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    lines = capsys.readouterr().out
    for text in (
        "color_s4l = Supervised + Proxies",
        "16 px, 4 classes: 48 to train on, 32 to test on",
        "16 labelled, 24 unlabelled, 8 held out",
        "2 epochs x 3; each 56 labelled images and 56 views of 8 unlabelled ones",
        "parameters",
        str(tmp_path / "run"),
    ):
        assert text in lines


def test_a_loss_that_is_not_finite_stops_the_run(tiny, tmp_path):
    run = dataclasses.replace(
        tiny, learning_rate=1e30, method="sesemi", run_dir=str(tmp_path / "run")
    )
    text = r"not finite at step 1 \(terms: .*proxy_loss.*\); no checkpoint yet"
    with pytest.raises(InputError, match=text):
        fit(run)
    assert not (tmp_path / "run" / "result.json").exists()
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_stopped_run_names_its_last_good_checkpoint(tmp_path):
    from color_s4l.training import callbacks

    (tmp_path / "epoch_00003.npz").touch()
    watch = callbacks.StopWhenNotFinite(tmp_path)
    model = types.SimpleNamespace(plan=types.SimpleNamespace(steps_per_epoch=5))
    model.stop_training = False
    watch.set_model(model)
    watch.on_epoch_begin(3)
    watch.on_train_batch_end(0, {"loss": 1.0, "class_loss": 1.0})
    assert not watch.model.stop_training
    bad = {"loss": float("nan"), "class_loss": float("nan"), "weight_decay": 1.0}
    watch.on_train_batch_end(2, bad)
    watch.on_train_batch_end(3, {**bad, "weight_decay": float("inf")})
    assert watch.model.stop_training
    # Epoch 3 of 5 steps, batch 2: step 17.
    text = r"step 17 \(terms: class_loss\); last good checkpoint: .*epoch_00003.npz"
    with pytest.raises(InputError, match=text):
        watch.on_epoch_end(3)


def test_several_steps_per_execution_and_bfloat16_learn_the_same(
    tiny, finished, tmp_path
):
    run = dataclasses.replace(
        tiny,
        dtype_policy="mixed_bfloat16",
        steps_per_execution=2,
        unlabeled=32,
        run_dir=str(tmp_path / "run"),
    )
    result = fit(run)
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert np.isfinite(log.to_numpy(dtype=float)).all()
    assert 0 <= result["error"] <= 100
    # ln 4 + ln 7 = 3.3, and the weight decay: near that of the float32 run.
    expected = pd.read_csv(f"{finished.run_dir}/log.csv")
    assert log["loss"].tolist() == pytest.approx(expected["loss"].tolist(), rel=0.2)
    assert keras.config.dtype_policy().name == "float32"
    with np.load(tmp_path / "run" / "checkpoints" / "epoch_00002.npz") as stored:
        place = stored["names"].tolist().index("iteration")
        assert stored[f"{place:05d}"] == 8
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    outputs = model.predict(np.zeros((2, 16, 16, 3), "uint8"), verbose=0)
    assert outputs.dtype == np.float32


def test_a_colorizer_is_trained_where_none_is_given(
    tiny, tmp_path, capsys, monkeypatch
):
    from color_s4l.training import session
    from colorization import saving

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(session.colors, "EPOCHS", 1)
    monkeypatch.setattr(session, "_train", stop)
    run = dataclasses.replace(tiny, colorizer=None, run_dir=str(tmp_path / "run"))
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    assert "none given: training one on the 24 unlabelled" in capsys.readouterr().out
    kept = tmp_path / "run" / "colorizer.h5"
    assert saving.load(kept).origin.images == 24
    before = kept.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        fit(dataclasses.replace(run, resume=True))
    assert "none given" not in capsys.readouterr().out
    assert kept.read_bytes() == before
