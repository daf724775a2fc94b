"""Runs with a limited time: the number of epochs, by hand and in whole runs."""

import dataclasses
import json

import keras
import pandas as pd
import pytest

from color_s4l import progress
from color_s4l.errors import InputError
from color_s4l.settings import Run, check
from color_s4l.training import budget, session

NOTHING = budget.Evaluated(epoch=0, final=0, every=1)


def fitting(seconds, evaluated=NOTHING, beginning=0.0):
    """Epochs of 10 steps of 2 s with 6 images each."""
    return budget.epochs_within(
        seconds,
        budget.Speed(step=2.0, beginning=beginning),
        steps_per_epoch=10,
        images_per_step=6,
        evaluated=evaluated,
    )


def test_the_epochs_fit_into_the_time():
    # 10 s for writing the files; 20 s per epoch.
    assert fitting(111) == (5, 20)
    assert fitting(109.9)[0] == 4
    assert fitting(111, beginning=2)[0] == 4
    assert fitting(5) == (1, 20)
    # A forward pass of an image takes 2 s / 6 / 3 = 1/9 s: 180 images in every second
    # epoch take 10 s per epoch; 9 views of 90 images at the end take 90 s.
    found = fitting(220, budget.Evaluated(epoch=180, final=90, every=2))
    assert found == (4, pytest.approx(30))


def test_a_run_without_time_for_an_epoch_says_so():
    text = r"One epoch takes about 2.5 minutes, more than `minutes`=2"
    with pytest.warns(match=text):
        budget.announce(2, 1, 150, budget.Speed(1, 1))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"minutes": 0.0}, "`minutes` to be more than 0"),
        ({"minutes": 5, "recipe": "moam"}, "`minutes` is the time of one run"),
        ({"minutes": 5, "schedule": "steps", "milestones": "3"}, "not `minutes`"),
    ],
)
def test_refuses_settings_that_contradict_a_time(settings, text):
    with pytest.raises(InputError, match=text):
        check(Run(**settings))


class StoppedError(Exception):
    """Ends a run after its first epoch."""


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise StoppedError


def test_a_run_with_minutes_is_the_run_with_its_epochs(
    base, tmp_path, weights, monkeypatch, caplog
):
    caplog.set_level("INFO", "color_s4l")
    monkeypatch.setattr(progress, "MOST_STEPS", 4)
    measured = []

    def two(seconds, speed, **sizes):
        measured.append((seconds, speed, sizes))
        return 2, 1.0

    monkeypatch.setattr(budget, "epochs_within", two)
    run = dataclasses.replace(base, method="sesemi+polyak", run_dir=str(tmp_path / "a"))
    timed = dataclasses.replace(run, minutes=7.0, run_dir=str(tmp_path / "b"))
    with pytest.raises(StoppedError):
        session.train(timed, extra_callbacks=[Stop()])
    ((seconds, speed, sizes),) = measured
    assert 0 < seconds < 7 * 60
    assert speed.step > 0
    assert sizes["steps_per_epoch"] == 3
    # 32 test images, with the weights and with their average.
    assert sizes["evaluated"] == budget.Evaluated(epoch=64, final=64, every=1)
    assert "as many epochs as fit into 7 minutes, of 3 steps" in caplog.text
    assert "2 epochs fit into 7 minutes" in caplog.text
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert (config["run"]["epochs"], config["settings"]["epochs"]) == (1, 2)
    # The number of epochs is stored, so the resumed run does not measure again.
    monkeypatch.setattr(budget, "measure_speed", None)
    result = session.train(dataclasses.replace(timed, resume=True))
    assert result["epoch"] == 2
    session.train(dataclasses.replace(run, epochs=2))
    first, second = (weights(tmp_path / name, 2) for name in "ab")
    for name, value in first.items():
        assert second[name] == pytest.approx(value, abs=1e-6), name
    logs = [pd.read_csv(tmp_path / name / "log.csv") for name in "ab"]
    assert logs[0]["learning_rate"].tolist() == logs[1]["learning_rate"].tolist()
