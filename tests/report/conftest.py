"""Records as if read from run directories, and a page about several runs."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from color_s4l.report import page
from color_s4l.report.records import Record, read
from color_s4l.settings import Run


def _record(name="a run", classes=3, samples=True, **changes):
    """A run of three epochs, whose test error follows its seed."""
    fields = dataclasses.asdict(Run(**{"labels": 30, **changes}))
    run = json.loads(json.dumps(fields))
    error = 20.0 + run["seed"]
    log = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "loss": [3.0, 2.0, 1.0],
            "class_loss": [2.0, 1.5, 0.25],
            "confident": [0.0, np.nan, 1.0],
            "learning_rate": [0.04, 0.02, 0.0],
            "test_error": [60.0, 40.0, error],
        }
    )
    config = {
        "run": run,
        "settings": {**run, "image_size": 32, "zca": True, "hflip": False},
        "classes": [f"class {number}" for number in range(classes)],
        "image_size": 32,
        "backend": "tensorflow",
        "versions": {"python": "3.11"},
        "hardware": "2 cores",
        "date": "2020-01-02",
        "digests": {},
        "command": "python -m color_s4l.train --labels=30",
    }
    result = {
        "error": error,
        "error_augmented": error - 1,
        "epoch": 3,
        "best": {"epoch": 3, "error": error, "note": "selected on test"},
        "test_images": 4 * classes,
        "labels": run["labels"],
        "unlabeled": 1000,
        "parameters": 12345,
        "images_per_second": 100.0,
        "seconds": 60.0,
        "colorizer": None,
    }
    arrays = _samples(classes) if samples else {}
    return Record(name, "folder", config, result, log, arrays)


def _samples(classes):
    """Four test images of each class; the last of each is taken for the next class."""
    labels = np.repeat(np.arange(classes), 4)
    predicted = labels.copy()
    predicted[3::4] = (labels[3::4] + 1) % classes
    mistakes = np.flatnonzero(labels != predicted)[:24]
    images = np.random.default_rng(0).integers(0, 255, (len(mistakes), 80, 80, 3))
    return {
        "labels": labels,
        "predicted": predicted,
        "confidence": np.full(len(labels), 0.9, "float32"),
        "true_probability": np.full(len(labels), 0.1, "float32"),
        "mistakes": mistakes,
        "mistake_images": images.astype("uint8"),
    }


@pytest.fixture(scope="session")
def record():
    """A function that makes a record."""
    return _record


@pytest.fixture(scope="session")
def several(finished, record):
    """The page about a real run, one of another method, and one of many classes."""
    records = read([finished.run_dir])
    records += [record("baseline", method="supervised", seed=2)]
    return page.render([*records, record("many classes", 60)])
