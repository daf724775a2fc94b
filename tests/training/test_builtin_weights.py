"""Runs that start from the package's weights; the tests make a small file."""

import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd
import pytest

from benchmarks import builtin as command
from color_s4l import data
from color_s4l.artifacts import builtin, models
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings
from color_s4l.training import inputs, session
from color_s4l.views.preprocessing import channel_statistics

WIDTH = 0.03


@pytest.fixture(scope="module")
def airbench(base, tmp_path_factory):
    """A run of the trunk airbench with normalised colour channels."""
    run = dataclasses.replace(
        base,
        method="supervised",
        network="airbench",
        normalization="channels",
        zca=None,
        run_dir=str(tmp_path_factory.mktemp("airbench") / "run"),
    )
    session.train(run)
    return run


@pytest.fixture
def file(airbench, tmp_path, monkeypatch):
    """The file that the command makes of this run, in place of the package's file."""
    monkeypatch.setattr(builtin, "FILE", tmp_path / "builtin.npz")
    assert command.main([airbench.run_dir]) == 0
    return tmp_path / "builtin.npz"


@pytest.fixture
def digits():
    """Images of another size and other colours than the first run's."""
    whole = data.load(DataSettings(dataset="digits", image_size=24))
    few = slice(0, 40)
    return dataclasses.replace(
        whole,
        images=whole.images[few] // 2,
        labels=whole.labels[few],
        test_images=whole.test_images[few] // 2,
        test_labels=whole.test_labels[few],
    )


def trunk_of(run_dir):
    model, _ = models.load(RunDirectory(pathlib.Path(run_dir)).model())
    return model.get_layer("trunk").get_weights()


def statistics_of(run_dir):
    model, _ = models.load(RunDirectory(pathlib.Path(run_dir)).model())
    layer = model.get_layer("preprocessing")
    return {name: np.array(getattr(layer, name)) for name in ("mean", "deviation")}


def test_the_note_says_where_the_weights_are_from(file, airbench):
    found = builtin.read()
    assert found.note["network"] == "airbench"
    assert (found.note["width"], found.note["labels"]) == (WIDTH, 16)
    assert found.note["normalization"] == "channels"
    assert found.note["command"].startswith("python -m color_s4l.train --dataset=")
    result = json.loads(pathlib.Path(airbench.run_dir, "result.json").read_text())
    assert found.note["error"] == result["error"]
    assert "Apache-2.0" in found.note["license"]


def test_trunk_and_statistics_of_a_run_are_those_of_the_file(
    file, airbench, digits, tmp_path
):
    run = dataclasses.replace(
        airbench,
        method="probe",
        init_from="builtin",
        labels=20,
        unlabeled=None,
        run_dir=str(tmp_path / "run"),
    )
    session.train(run, digits)
    found = builtin.read()
    for array, expected in zip(trunk_of(run.run_dir), found.trunk, strict=True):
        np.testing.assert_array_equal(array, expected)
    own = trunk_of(airbench.run_dir)
    for array, expected in zip(found.trunk, own, strict=True):
        assert array == pytest.approx(expected, rel=2e-3, abs=1e-4)
    # Not those of the new images.
    statistics, first = map(statistics_of, (run.run_dir, airbench.run_dir))
    np.testing.assert_array_equal(statistics["mean"], first["mean"])
    assert (
        np.abs(statistics["mean"] - channel_statistics(digits.images)["mean"]).max() > 9
    )
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["digests"]["init_from"] == inputs.read_initial("builtin").digest
    assert "--init_from=builtin" in config["command"]
    assert len(pd.read_csv(tmp_path / "run" / "log.csv")) == 1


def test_statistics_belong_to_the_weights_of_any_run(airbench):
    found = inputs.read_initial(airbench.run_dir)
    first = statistics_of(airbench.run_dir)
    np.testing.assert_array_equal(found.statistics["deviation"], first["deviation"])
    other = dataclasses.replace(found, statistics={"mean": np.zeros(3, "float32")})
    assert found.digest != other.digest


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"network": "convnet"}, "set --network=airbench, --width=0.03 and --norm"),
        (
            {"width": 0.05},
            "set --network=airbench, --width=0.03 and --normalization=ch",
        ),
        (
            {"normalization": "contrast"},
            "trained with --normalization=channels: set it",
        ),
        ({"init_heads": True}, "--init_from=builtin has no heads: leave --init_heads"),
    ],
)
def test_a_run_that_does_not_fit_is_told_what_to_set(
    file, changes, text, train_refuses
):
    fitting = {"network": "airbench", "normalization": "channels", "zca": None}
    fitting |= {"method": "supervised", "init_from": "builtin", "validation": 0}
    train_refuses(text, **{**fitting, **changes})


def test_without_the_file_there_is_one_line(tmp_path, monkeypatch, train_refuses):
    monkeypatch.setattr(builtin, "FILE", tmp_path / "none.npz")
    text = "--init_from=builtin: this installation has no built-in weights"
    train_refuses(text, method="supervised", init_from="builtin")
    with pytest.raises(InputError):
        inputs.read_initial("builtin")


def test_the_command_refuses_other_runs(finished, refused):
    assert "Expected one run directory. Received: 0" in refused(command.main([]))
    line = refused(command.main([finished.run_dir]))
    assert "works for one image size only" in line
