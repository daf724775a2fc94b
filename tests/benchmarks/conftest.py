"""Rows of runs that never ran, as the run folders of real ones give them."""

import dataclasses
import json
import shutil

import pandas as pd
import pytest

from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.settings import Run, method_of

SIZES = {"cifar10": (50_000, 10_000), "svhn_cropped": (73_257, 26_032)}


@pytest.fixture(scope="session")
def row():
    """A function: an error rate and fields of a `Run` to a row of `tables.rows`."""

    def make(error, *, colorizer=None, backend="tensorflow", **fields):
        run = Run(**{"dataset": "cifar10", **fields})
        every, tests = SIZES.get(run.dataset, (1397, 400))
        names = ("dataset", "network", "width", "epochs", "batch_size")
        return {
            **{name: getattr(run, name) for name in names},
            "method": method_of(run),
            "labels": run.labels or every,
            "unlabeled": run.unlabeled or every,
            "seed": run.seed,
            "error": error,
            "error_augmented": error - 1,
            "best_error": error - 2,
            "best_note": "selected on test",
            "test_images": tests,
            "colorizer": colorizer,
            "backend": backend,
            "dtype_policy": run.dtype_policy,
            "hardware": "2 cores",
            "versions": "python 3.11, keras 3.15.1, tensorflow 2.21.0",
            "command": command_line.command("color_s4l.train", run),
            "date": "2026-11-20",
        }

    return make


@pytest.fixture(scope="session")
def table(row):
    """A function: (error, fields) pairs to a table of `tables.rows`."""
    return lambda *runs: pd.DataFrame([row(error, **fields) for error, fields in runs])


@pytest.fixture
def copied(finished, tmp_path):
    """A function: a name to a copy of a finished run's folder, its config changed."""

    def copy(name, *, forget=(), finish=True, digests=None, **changes):
        folder = RunFolder(tmp_path / "runs" / name)
        folder.path.mkdir(parents=True)
        there = RunFolder(type(tmp_path)(finished.run_dir))
        kept = ("config", "result", "log") if finish else ("config", "log")
        for part in kept:
            shutil.copy(getattr(there, part), getattr(folder, part))
        config = json.loads(folder.config.read_text())
        config["run"] |= changes
        config["digests"] = digests or config["digests"]
        config["run"] = {k: v for k, v in config["run"].items() if k not in forget}
        folder.config.write_text(json.dumps(config))
        return folder.path

    return copy


@pytest.fixture(scope="session")
def axes(finished):
    """The flags of a grid that holds the finished run alone, as a dictionary."""
    run = dataclasses.asdict(finished)
    own = ("labels", "network", "method", "recipe", "seed", "run_dir", "resume")
    shared = {name: value for name, value in run.items() if name not in own}
    return {
        **shared,
        "labels": str(finished.labels),
        "networks": finished.network,
        "methods": finished.method,
        "seeds": str(finished.seed),
    }
