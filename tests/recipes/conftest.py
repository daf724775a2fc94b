"""Fixtures of the tests of recipes: every recipe, trained once."""

import dataclasses
import functools
import json
import pathlib

import pytest

from color_s4l.artifacts import models
from color_s4l.networks import structure
from color_s4l.recipes import procedure

# Fewer stages than the default; other recipes run with their defaults.
SMALLER = {
    "alternating": {
        "set": (
            "alternating.cycles=2",
            "alternating.whole=1",
            "alternating.frozen=1",
        )
    },
    "ensemble_self_training": {"set": ("ensemble_self_training.members=2",)},
    "refine": {"set": ("refine.cycles=1", "refine.frozen=1")},
}


@pytest.fixture(scope="session")
def recipe_run(base, finished, rotnet_linear, tmp_path_factory):
    """A function of a recipe's name: its `Run` on tiny images, not trained."""

    def make(name):
        if name == "rotnet_linear":
            return dataclasses.replace(base, recipe=name, run_dir=str(rotnet_linear))
        folder = tmp_path_factory.mktemp("recipes") / name
        changes = dict(SMALLER.get(name, {}))
        if procedure.recipe_of(dataclasses.replace(base, recipe=name)).continues:
            changes |= {"init_from": finished.run_dir, "init_heads": True}
        return dataclasses.replace(base, recipe=name, run_dir=str(folder), **changes)

    return make


@pytest.fixture(scope="session")
def trained(recipe_run):
    """A function of a recipe's name: the directory of its complete run.

    Tests do not change the directory.
    """

    @functools.cache
    def train(name):
        run = recipe_run(name)
        if not pathlib.Path(run.run_dir).exists():
            procedure.fit(run)
        return pathlib.Path(run.run_dir)

    return train


@pytest.fixture(scope="session")
def content():
    """A function of a directory: its result.json, or another JSON file of it."""

    def read(folder, name="result.json"):
        return json.loads(pathlib.Path(folder, name).read_text())

    return read


@pytest.fixture(scope="session")
def arrays():
    """A function of a run directory: the weights and statistics of the trunk.

    With `probed`, those of the part of the trunk that a probe reads.
    """

    def read(folder, probed=False):
        model, _ = models.load(pathlib.Path(folder) / "model.keras")
        trunk = model.get_layer("trunk")
        if probed:
            trunk = structure.cut(trunk, structure.widest_layer(trunk))
        return trunk.get_weights()

    return read
