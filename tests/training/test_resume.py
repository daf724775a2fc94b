"""A run that was stopped, at whatever moment, ends as if it had not been."""

import dataclasses
import json
import pathlib
import signal

import keras
import pandas as pd
import pytest
from color_s4l.training.preparation import steps_per_execution

from color_s4l.data import lazy_images
from color_s4l.errors import InputError
from color_s4l.settings import Run
from color_s4l.training import callbacks
from color_s4l.training.session import fit

MOMENTS = ("batch", "write")


@pytest.fixture(scope="module")
def base(tiny):
    return dataclasses.replace(tiny, epochs=3, deterministic=True, validation=0)


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
):
    root, output = killed
    assert output.count("resumed    after epoch 1 of 3") == len(MOMENTS)
    assert gap(weights(root / moment, 3), weights(root / "whole", 3)) < 1e-6
    assert gap(weights(root / "whole", 3), weights(root / "whole", 2)) > 1e-3


@pytest.mark.parametrize("moment", MOMENTS)
def test_after_kill_9_nothing_unfinished_remains(moment, killed):
    root, _ = killed
    assert not list((root / moment).rglob(".unfinished-*"))
    log = pd.read_csv(root / moment / "log.csv")
    assert log["epoch"].tolist() == [1, 2, 3]
    whole = pd.read_csv(root / "whole" / "log.csv")
    speed = ("images_per_second", "loading")
    columns = [name for name in log if not name.startswith(speed)]
    assert (log[columns] - whole[columns]).abs().to_numpy().max() < 1e-4


@pytest.fixture
def interrupted(tiny, tmp_path, monkeypatch):
    """A run that ended after epoch 1 of 2, as by Ctrl-C."""
    run = dataclasses.replace(tiny, run_dir=str(tmp_path / "run"))

    class Interrupted(callbacks.Checkpoints):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "Checkpoints", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(run)
    return run


def test_resumed_is_uninterrupted(interrupted, finished, weights, gap, capsys):
    result = fit(dataclasses.replace(interrupted, resume=True, verbosity=0))
    assert "resumed    after epoch 1 of 2" in capsys.readouterr().out
    assert gap(weights(interrupted.run_dir, 2), weights(finished.run_dir, 2)) < 1e-6
    log = pd.read_csv(f"{interrupted.run_dir}/log.csv")
    expected = pd.read_csv(f"{finished.run_dir}/log.csv")
    assert log["epoch"].tolist() == [1, 2]
    assert log["loss"].tolist() == pytest.approx(expected["loss"].tolist(), rel=1e-5)
    whole = json.loads(pathlib.Path(finished.run_dir, "result.json").read_text())
    assert result["error"] == whole["error"]


def test_a_complete_run_is_not_run_again(finished, capsys):
    result = fit(dataclasses.replace(finished, resume=True))
    assert "holds the result already" in capsys.readouterr().out
    assert result["epoch"] == 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"learning_rate": 0.1}, r"--learning_rate: 0.05 then, 0.1 now"),
        ({"seed": 3, "epochs": 4}, r"--seed: 1 then, 3 now, --epochs: 2 then, 4 now"),
        ({"set": ("proxies.weight=2",)}, r"--set: \[\] then, \['proxies.weight=2'\]"),
        ({"method": "sesemi"}, "--method: color_s4l then, sesemi now"),
    ],
)
def test_refuses_to_go_on_with_other_flags(finished, changes, text):
    run = dataclasses.replace(finished, resume=True, **changes)
    with pytest.raises(InputError, match=f"holds another run.*{text}"):
        fit(run)


def test_refuses_to_overwrite(finished):
    with pytest.raises(
        InputError, match="exists: go on with --resume, or give another"
    ):
        fit(finished)


def test_refuses_to_go_on_on_another_backend(finished, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "another")
    with pytest.raises(InputError, match=r"was begun on .*; this is another"):
        fit(dataclasses.replace(finished, resume=True))


def test_steps_per_execution_may_change_nothing():
    # An epoch of 12 steps: the largest divisor up to the number asked for.
    asked = {1: 1, 2: 2, 5: 4, 7: 6, 12: 12, 50: 12}
    found = {n: steps_per_execution(Run(steps_per_execution=n), 12) for n in asked}
    assert found == asked
