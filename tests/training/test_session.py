"""Whole runs on small images: what they say, and what stops them."""

import dataclasses
import pathlib
import types

import keras
import numpy as np
import pandas as pd
import pytest

from color_s4l.errors import InputError
from color_s4l.training.session import fit


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


def test_refuses_groups_that_devices_cannot_share(tiny, tmp_path):
    # gcd(9, 8) = 1: one group, two devices.
    run = dataclasses.replace(
        tiny, labeled_batch=9, devices=2, run_dir=str(tmp_path / "run")
    )
    with pytest.raises(InputError, match=r"make 1 equal groups.*over --devices=2"):
        fit(run)


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
    tiny, finished, tmp_path, capsys
):
    run = dataclasses.replace(
        tiny,
        dtype_policy="mixed_bfloat16",
        steps_per_execution=2,
        unlabeled=32,
        verbosity=2,
        run_dir=str(tmp_path / "run"),
    )
    result = fit(run)
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    lines = [line for line in capsys.readouterr().out.splitlines() if "epoch " in line]
    for number, line in enumerate(lines[:2]):
        assert line.startswith(f"epoch {number + 1}/2  ")
        assert f"  test error {log['test_error'][number]:.3g} %  " in line
        assert f"  proxy loss {log['proxy_loss'][number]:.3g}  " in line
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
    from colorization.colorizer import Colorizer

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(session.colors, "EPOCHS", 1)
    monkeypatch.setattr(session, "_train", stop)
    run = dataclasses.replace(tiny, colorizer=None, run_dir=str(tmp_path / "run"))
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    assert "none given: training one on 24 of the unlabelled" in capsys.readouterr().out
    kept = tmp_path / "run" / "colorizer.h5"
    assert Colorizer.load(kept).origin.images == 24
    before = kept.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        fit(dataclasses.replace(run, resume=True))
    assert "none given" not in capsys.readouterr().out
    assert kept.read_bytes() == before
