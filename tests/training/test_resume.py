"""A run that was killed and resumed has the result of an uninterrupted run."""

import dataclasses
import json
import pathlib
import shutil
import signal

import pandas as pd
import pytest

from color_s4l.errors import InputError
from color_s4l.training import session
from color_s4l.training.build import steps_per_execution

# Moment of the kill -> where the images were kept before and after it.
MOMENTS = {"batch": ("none", "disk"), "write": ("disk", "none")}


@pytest.fixture(scope="module", params=MOMENTS)
def resumed(request, tiny, runs, tmp_path_factory):
    """The directory of a run that was killed in its second epoch, and its log lines."""
    moment = request.param
    folder = tmp_path_factory.mktemp("killed") / moment
    before, after = MOMENTS[moment]
    run = dataclasses.replace(tiny, run_dir=str(folder), cache=before)
    done = runs({"run": run, "kill": moment})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (folder / "result.json").exists()
    kept = [path.name for path in (folder / "checkpoints").glob("epoch*")]
    assert kept == ["epoch_00001.npz"]
    done = runs({"run": dataclasses.replace(run, resume=True, cache=after)})
    assert not done.returncode, done.stderr
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tiny, runs, tmp_path_factory):
    """The directory of a run in a process of its own.

    On some CPUs, rounding differs from a process that has run other tests before.
    """
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    done = runs({"run": dataclasses.replace(tiny, run_dir=str(folder))})
    assert not done.returncode, done.stderr
    return folder


def test_after_kill_9_the_result_is_that_of_the_uninterrupted_run(
    resumed, uninterrupted, weights, gap
):
    expected = uninterrupted
    assert gap(weights(resumed, 2), weights(expected, 2)) < 1e-6
    assert gap(weights(expected, 2), weights(expected, 1)) > 1e-3
    log, other = (pd.read_csv(folder / "log.csv") for folder in (resumed, expected))
    assert log["epoch"].tolist() == [1, 2]
    speed = ("images_per_second", "loading", "seconds")
    columns = [name for name in log if not name.startswith(speed)]
    assert (log[columns] - other[columns]).abs().to_numpy().max() < 1e-4
    result, whole = (
        json.loads((folder / "result.json").read_text())
        for folder in (resumed, expected)
    )
    assert result["error"] == whole["error"]
    assert not list(resumed.rglob(".unfinished-*"))


@pytest.fixture
def interrupted(finished, tmp_path):
    """A copy of the finished run, as if it had been killed in its second epoch."""
    folder = tmp_path / "interrupted"
    shutil.copytree(finished.run_dir, folder)
    (folder / "result.json").unlink()
    (folder / "checkpoints" / "epoch_00002.npz").unlink()
    return dataclasses.replace(finished, run_dir=str(folder), resume=True)


def test_damaged_statistics_and_log_are_written_again(interrupted, finished):
    folder = pathlib.Path(interrupted.run_dir)
    (folder / "preprocessing.npz").write_bytes(b"")
    (folder / "log.csv").write_text("no columns")
    with pytest.warns(UserWarning, match=r"log\.csv cannot be read .* up to epoch 1"):
        session.train(interrupted)
    assert pd.read_csv(folder / "log.csv")["epoch"].tolist() == [2]
    expected = pathlib.Path(finished.run_dir)
    results = [
        json.loads((path / "result.json").read_text()) for path in (folder, expected)
    ]
    assert results[0]["error"] == results[1]["error"]


def test_a_file_in_place_of_a_folder_is_named(interrupted):
    folder = pathlib.Path(interrupted.run_dir)
    shutil.rmtree(folder / "tensorboard")
    (folder / "tensorboard").touch()
    with pytest.raises(InputError, match=r"Expected .*tensorboard to be a folder"):
        session.train(interrupted)


def test_a_complete_run_is_not_run_again(finished, caplog):
    caplog.set_level("INFO", "color_s4l")
    result = session.train(dataclasses.replace(finished, resume=True))
    assert "already has its result" in caplog.text
    assert result["epoch"] == 2
    with pytest.raises(InputError, match="exists: continue with `resume`, or choose"):
        session.train(finished)


def test_steps_per_execution_divide_the_epoch():
    # An epoch of 12 steps: the largest divisor up to the wanted number.
    wanted = {1: 1, 2: 2, 5: 4, 7: 6, 12: 12, 50: 12}
    assert {n: steps_per_execution(n, 12) for n in wanted} == wanted
