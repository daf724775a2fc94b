"""Rows of runs that were never trained, and copies of a finished run."""

import dataclasses
import json
import shutil

import pandas as pd
import pytest

from color_s4l import settings
from color_s4l.artifacts import tables
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.settings import Run, TrainingSettings

IMAGES = {"cifar10": 50_000, "svhn_cropped": 73_257}


def _row(error, *, colorizer=None, stage=None, **fields):
    run = Run(**{"dataset": "cifar10", **fields})
    views = {"labeled_views": 1, "unlabeled_views": 7}
    values = dict(settings.resolve(run, image_size=32, **views).values)
    every = IMAGES.get(run.dataset, 1397)
    config = {
        "settings": values,
        "backend": "tensorflow",
        "hardware": "2 cores",
        "versions": {"python": "3.11"},
        "date": "2026-11-20",
    }
    result = {
        "labels": run.labels or every,
        "unlabeled": run.unlabeled or every,
        "error": error,
        "error_augmented": error - 1,
        "best": {"error": error - 2, "note": "selected on test"},
        "test_images": 400,
        "parameters": 1,
        "images_per_second": 1.0,
        "seconds": 1.0,
        "colorizer": colorizer,
    }
    return {**tables.row(config, result), "stage": stage}


@pytest.fixture(scope="session")
def table():
    """A function: (error, fields of a `Run`) pairs to the rows of finished runs."""
    return lambda *runs: pd.DataFrame([_row(error, **fields) for error, fields in runs])


@pytest.fixture
def copied(finished, tmp_path):
    """A function: a name to a copy of a finished run's directory, config changed."""

    def copy(name, *, finish=True, digests=None, **changes):
        directory = RunDirectory(tmp_path / "runs" / name)
        directory.path.mkdir(parents=True)
        original = RunDirectory(type(tmp_path)(finished.run_dir))
        for part in ("config", "result", "log") if finish else ("config", "log"):
            shutil.copy(getattr(original, part), getattr(directory, part))
        config = json.loads(directory.config.read_text())
        for part in ("run", "settings"):
            config[part] |= changes
        config["digests"] = digests or config["digests"]
        directory.config.write_text(json.dumps(config))
        return directory.path

    return copy


@pytest.fixture(scope="session")
def axes(finished):
    """Arguments of a grid that contains only the finished run."""
    names = [field.name for field in dataclasses.fields(TrainingSettings)]
    return {
        **{name: getattr(finished, name) for name in names},
        "labels": str(finished.labels),
        "networks": finished.network,
        "methods": finished.method,
        "recipes": "",
        "seeds": str(finished.seed),
    }
