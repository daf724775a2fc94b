"""A run that was killed and resumed has the result of an uninterrupted run."""

import dataclasses
import json
import pathlib
import signal

import pandas as pd
import pytest
from color_s4l.training.preparation import steps_per_execution

<<<<<<< HEAD
from color_s4l.data import lazy_images
from color_s4l.errors import InputError
from color_s4l.settings import Run
from color_s4l.training import callbacks
from color_s4l.training.session import fit
=======
from color_s4l.errors import InputError
from color_s4l.training import session
from color_s4l.training.build import steps_per_execution
>>>>>>> refs/heads/spine

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
    session.train(dataclasses.replace(run, resume=True, cache=after))
    return folder


<<<<<<< HEAD
@pytest.fixture(scope="module")
def killed(base, runs, tmp_path_factory):
    """Run folders: one of each kill, resumed, and `whole`, uninterrupted."""
    root = tmp_path_factory.mktemp("killed")
    kinds = {
        name: dataclasses.replace(base, run_dir=str(root / name), cache=cache)
        for name, cache in zip(
            (*MOMENTS, "whole"), lazy_images.CACHES[::-1], strict=True
        )
    }
    for moment in MOMENTS:
        done = runs({"run": kinds[moment], "kill": moment})
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not (root / moment / "result.json").exists()
        kept = [p.name for p in (root / moment / "checkpoints").glob("epoch*")]
        assert kept == ["epoch_00001.npz"]
    # Where images are kept may change, too.
    caches = dict(zip(MOMENTS, ("disk", "none"), strict=True))
    resumed = [
        dataclasses.replace(kinds[m], resume=True, cache=caches[m]) for m in MOMENTS
    ]
    done = runs(*({"run": run} for run in (kinds["whole"], *resumed)))
    assert done.returncode == 0, done.stderr
    return root, done.stdout


@pytest.mark.parametrize("moment", MOMENTS)
def test_after_kill_9_the_weights_are_those_of_the_uninterrupted_run(
    moment, killed, weights, gap
=======
def test_after_kill_9_the_result_is_that_of_the_uninterrupted_run(
    resumed, finished, weights, gap
>>>>>>> refs/heads/spine
):
    expected = pathlib.Path(finished.run_dir)
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


def test_a_complete_run_is_not_run_again(finished, caplog):
    caplog.set_level("INFO", "color_s4l")
    result = session.train(dataclasses.replace(finished, resume=True))
    assert "has its result already" in caplog.text
    assert result["epoch"] == 2
    with pytest.raises(InputError, match="exists: continue with `resume`, or choose"):
        session.train(finished)


def test_steps_per_execution_divide_the_epoch():
    # An epoch of 12 steps: the largest divisor up to the wanted number.
    wanted = {1: 1, 2: 2, 5: 4, 7: 6, 12: 12, 50: 12}
    assert {n: steps_per_execution(n, 12) for n in wanted} == wanted
