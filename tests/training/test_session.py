"""Whole runs on small images: log lines, stops, arrays and half precision."""

import dataclasses
import json
import logging
import pathlib
import types

import keras
import numpy as np
import pandas as pd
import pytest

import color_s4l
from color_s4l import backend, data, methods, settings
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings, Run, SplitSettings, part
from color_s4l.training import callbacks, inputs, session
from colorization.colorizer import Colorizer


class StoppedError(Exception):
    """Ends a run before it trains."""


@pytest.fixture
def stopped(monkeypatch):
    """Stops runs before their first step, after everything is prepared."""

    def stop(*_):
        raise StoppedError

    monkeypatch.setattr(session, "_fit", stop)


@pytest.fixture
def lines(caplog):
    """The log of the library, on demand."""
    caplog.set_level(logging.INFO, "color_s4l")
    return lambda: "\n".join(caplog.messages)


def test_a_split_file_is_used_unchanged(finished, base, tmp_path, stopped):
    split_file = pathlib.Path(finished.run_dir) / "split.csv"
    run = dataclasses.replace(
        base,
        method="supervised",
        labels=None,
        unlabeled=None,
        seed=9,
        split_file=str(split_file),
        run_dir=str(tmp_path / "run"),
    )
    with pytest.raises(StoppedError):
        session.train(run)
    assert (tmp_path / "run" / "split.csv").read_text() == split_file.read_text()


def test_a_run_announces_its_plan_and_trains_its_own_colorizer(
    tiny, tmp_path, lines, monkeypatch, stopped
):
    monkeypatch.setattr(inputs, "COLORIZER_EPOCHS", 1)
    run = dataclasses.replace(tiny, colorizer=None, run_dir=str(tmp_path / "run"))
    with pytest.raises(StoppedError):
        session.train(run)
    for text in (
        "color_s4l: Supervised + Proxies",
        "16 px, 4 classes: 48 training images, 32 test images",
        "16 labelled, 24 unlabelled, 8 validation",
        "2 epochs of 3 steps; each step 56 labelled images and 56 views of 8 unlabell",
        "parameters",
        str(tmp_path / "run"),
        "none given: training one on 24 of the unlabelled",
    ):
        assert lines().count(text) >= 1, text
    kept = tmp_path / "run" / "colorizer.h5"
    assert Colorizer.load(kept).origin.images == 24
    before = kept.read_bytes()
    with pytest.raises(StoppedError):
        session.train(dataclasses.replace(run, resume=True))
    assert lines().count("none given") == 1
    assert kept.read_bytes() == before


def test_imbalanced_labels_give_a_warning(base, small, tmp_path, stopped):
    labels = np.repeat([0, 1, 2, 3], [2, 2, 2, 42]).astype("int32")
    run = dataclasses.replace(
        base,
        method="supervised",
        labels=None,
        run_dir=str(tmp_path / "run"),
    )
    images = dataclasses.replace(small, labels=labels)
    with pytest.warns(UserWarning, match="set `balance`"), pytest.raises(StoppedError):
        session.train(run, images)


def test_labeled_only_uses_no_other_image(small, tmp_path):
    run = Run(labels=16, labeled_only=True)
    found = inputs.read_inputs(
        small,
        part(run, SplitSettings),
        settings.inputs_of(run),
        methods.terms_of("supervised"),
        RunDirectory(tmp_path),
    )
    np.testing.assert_array_equal(found.split.unlabeled, found.split.labeled)
    assert len(found.split.labeled) == 16


def test_tensorboard_needs_no_tensorflow_on_jax(python, tmp_path):
    code = (
        "import pathlib, sys; from color_s4l.training.callbacks import TensorBoard;"
        "board = TensorBoard(pathlib.Path(sys.argv[1]));"
        "board.on_epoch_end(0, {'loss': 1.0}); board.on_train_end();"
        "print('tensorflow' in sys.modules)"
    )
    done = python("-c", code, tmp_path, KERAS_BACKEND="jax")
    assert done.stdout.strip() == "False", done.stderr[-2000:]
    (events,) = tmp_path.glob("events*")
    assert events.stat().st_size > 50


def test_a_full_disk_stops_only_the_tensorboard(tmp_path, caplog):
    (tmp_path / "full").mkdir()
    board = callbacks.TensorBoard(tmp_path / "full")
    board.on_epoch_end(0, {"loss": 1.0})
    board.path = pathlib.Path("/dev/full")
    for epoch in (1, 2):
        board.on_epoch_end(epoch, {"loss": 1.0})
    text = "TensorBoard's files cannot be written: No space left on device."
    assert caplog.messages == [text]


@pytest.mark.parametrize(
    ("losses", "warned"),
    [((4.5, 2.2), 0), ((5.0, 2.2), 1), ((4.5, 2.4, 9.0), 1)],
)
def test_warns_of_a_loss_above_that_of_a_constant_guess(losses, warned, caplog):
    callback = callbacks.WarnIfWorseThanConstant(10)  # log(10) = 2.303
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"class_loss": loss})
    assert len(caplog.messages) == warned
    assert all("has 2.3. A smaller `learning_rate`" in m for m in caplog.messages)


def test_a_loss_that_is_not_finite_stops_the_run(base, tmp_path):
    run = dataclasses.replace(
        base, learning_rate=1e30, method="sesemi", run_dir=str(tmp_path / "run")
    )
    text = r"not finite at step 1 \(terms: .*proxy_loss.*\); no checkpoint yet"
    with pytest.raises(InputError, match=text):
        session.train(run)
    assert not (tmp_path / "run" / "result.json").exists()
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_stopped_run_names_its_last_good_checkpoint(tmp_path):
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
    result = session.train(run)
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    lines = [line for line in capsys.readouterr().out.splitlines() if "epoch " in line]
    for number, line in enumerate(lines[:2]):
        assert line.startswith(f"epoch {number + 1}/2  ")
        assert f"  test error {log['test_error'][number]:.3g} %  " in line
        assert f"  proxy loss {log['proxy_loss'][number]:.3g}  " in line
    assert np.isfinite(log.to_numpy(dtype=float)).all()
    assert 0 <= result["error"] <= 100
    # ln 4 + ln 7 = 3.3, and the weight decay: close to the float32 run.
    expected = pd.read_csv(f"{finished.run_dir}/log.csv")
    assert log["loss"].tolist() == pytest.approx(expected["loss"].tolist(), rel=0.2)
    assert keras.config.dtype_policy().name == "float32"
    with np.load(tmp_path / "run" / "checkpoints" / "epoch_00002.npz") as stored:
        place = stored["names"].tolist().index("iteration")
        assert stored[f"{place:05d}"] == 8
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    outputs = model.predict(np.zeros((2, 16, 16, 3), "uint8"), verbose=0)
    assert outputs.dtype == np.float32


def test_arrays_train_without_test_images(small, tmp_path, lines):
    labels = np.where(np.arange(48) % 3 == 0, small.labels, data.UNLABELED)
    images = data.Data.from_arrays(small.images, labels, name="mine")
    epochs = []
    result = color_s4l.fit(
        Run(
            method="rotnet+supervised",
            width=0.03,
            epochs=1,
            batch_size=24,
            jit_compile=False,
            verbosity=0,
            run_dir=str(tmp_path / "run"),
        ),
        data=images,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=lambda e, _: epochs.append(e))
        ],
    )
    assert epochs == [0]
    assert (result["labels"], result["unlabeled"], result["test_images"]) == (16, 48, 0)
    assert result["error"] is result["error_augmented"] is None
    assert "best" not in result
    assert "error      not measured: there are no test images" in lines()
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert not {"test_error", "test_proxy_error"} & set(log)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"]["dataset"] == "mine"
    classifier = color_s4l.load(tmp_path / "run")
    assert classifier.classes == ("0", "1", "2", "3")
    assert not (tmp_path / "run" / "pictures" / "confusion.png").exists()


def test_the_average_can_be_the_result(base, tmp_path):
    run = dataclasses.replace(
        base,
        method="supervised+polyak",
        epochs=3,
        evaluate_every=2,
        final_weights="average",
        test_views="flips",
        optimizer="adamw",
        learning_rate=0.01,
        run_dir=str(tmp_path / "run"),
    )
    result = session.train(run)
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert log["test_error"].notna().tolist() == [False, True, True]
    # The model is the average: its error is the last one logged for it.
    assert result["error"] == pytest.approx(log["average_test_error"].iloc[-1])
    assert "further" not in result
    wrong = dataclasses.replace(
        run, final_weights="teacher", run_dir=str(tmp_path / "wrong")
    )
    with pytest.raises(InputError, match=r"to be average .* Received: teacher"):
        session.train(wrong)


def test_reestimated_statistics_change_only_the_result(base, tmp_path):
    moving, other = (
        dataclasses.replace(
            base,
            epochs=1,
            batch_statistics=chosen,
            run_dir=str(tmp_path / chosen),
        )
        for chosen in ("moving", "reestimated")
    )
    models = []
    for run in (moving, other):
        session.train(run)
        models.append(color_s4l.load(run.run_dir).network)
    first, second = ({w.path: np.array(w) for w in m.weights} for m in models)
    changed = [name for name in first if not np.allclose(first[name], second[name])]
    assert changed
    assert all("moving_" in name for name in changed)
    logs = [pd.read_csv(tmp_path / n / "log.csv") for n in ("moving", "reestimated")]
    assert logs[0]["loss"].tolist() == pytest.approx(logs[1]["loss"].tolist())
    run = dataclasses.replace(other, devices=2, run_dir=str(tmp_path / "two"))
    with pytest.raises(InputError, match="`batch_statistics`=reestimated needs"):
        session.train(run)


def test_the_fast_method_is_resumed_in_half_precision(base, tmp_path):
    run = dataclasses.replace(
        base,
        method="fast",
        network="airbench",
        normalization="channels",
        dtype_policy="mixed_bfloat16",
        final_weights="average",
        flip_order="alternating",
        hflip=True,
        noise=0.0,
        test_views="shifts",
        epochs=2,
        run_dir=str(tmp_path / "run"),
    )

    def stop(epoch, logs):
        raise StoppedError

    stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(StoppedError):
        session.train(run, extra_callbacks=[stopping])
    result = session.train(dataclasses.replace(run, resume=True))
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert log["epoch"].tolist() == [1, 2]
    assert {"freematch_loss", "freematch_fairness", "class_loss"} <= set(log)
    assert result["best"]["error"] == log["average_test_error"].min()
    classifier = color_s4l.load(tmp_path / "run")
    assert classifier.about.test_views == "shifts"
    images = data.load(part(run, DataSettings))
    found = classifier.evaluate(images.test_images, images.test_labels)
    assert found["error"] == pytest.approx(result["error"])
    assert found["error_augmented"] == pytest.approx(result["error_augmented"])


def test_alternating_flips_need_labelled_images_and_flips(base):
    for changes, text in (
        ({"method": "rotnet"}, "needs a method that reads labelled images"),
        ({"hflip": False}, "needs `hflip`"),
    ):
        run = dataclasses.replace(
            base, **{"method": "supervised", "flip_order": "alternating", **changes}
        )
        with pytest.raises(InputError, match=text):
            session.checked_terms(run)


def test_devices_need_groups_that_they_can_share(tiny):
    # gcd(9, 8) = 1: one group, two devices.
    run = dataclasses.replace(tiny, labeled_batch=9, devices=2)
    with pytest.raises(InputError, match=r"`labeled_batch`=9 cannot .*`devices`=2"):
        session.checked_terms(run)


def test_cores_are_shared_by_equal_passes_only(monkeypatch):
    found = []
    monkeypatch.setattr(backend, "share_cores", found.append)
    for run, expected in (
        (Run(colorizer="c.h5"), [2]),
        (Run(method="sesemi"), [2]),
        (Run(method="supervised"), [1]),
        (Run(), []),  # it trains a colorizer too
        (Run(method="sesemi", labeled_batch=4), []),
        (Run(method="vat"), []),
        (Run(method="sesemi+mean_teacher"), []),
    ):
        found.clear()
        session.start(run, methods.terms_of(run.method))
        assert found == expected, run


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's")
@pytest.mark.parametrize(
    ("cores", "passes", "gpus", "expected"),
    [(2, 3, [], [1]), (2, 1, [], []), (4, 3, [], []), (2, 2, ["GPU:0"], [])],
)
def test_each_pass_gets_a_core_if_there_are_no_more_cores(
    cores, passes, gpus, expected, monkeypatch
):
    import tensorflow as tf

    found = []
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(backend._module, "_cores", lambda: cores)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: gpus)
    setter = "set_intra_op_parallelism_threads"
    monkeypatch.setattr(tf.config.threading, setter, found.append)
    backend.share_cores(passes)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    backend.share_cores(passes)  # the user's choice counts
    assert found == expected
