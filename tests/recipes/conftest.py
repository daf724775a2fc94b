"""What the tests of recipes share: a tiny run, and one of `alternating`."""

import dataclasses
import pathlib

import pytest

from color_s4l.artifacts import models
from color_s4l.recipes import procedure

TWO_CYCLES = ("alternating.cycles=2", "alternating.whole=1", "alternating.frozen=1")


@pytest.fixture(scope="session")
def base(tiny):
    """As `tiny`, one epoch, without whitening."""
    return dataclasses.replace(tiny, epochs=1, validation=0, zca=False)


@pytest.fixture(scope="session")
def two_cycles(base):
    """A function: a folder to a run of `alternating`."""

    def run(folder):
        return dataclasses.replace(
            base, recipe="alternating", set=TWO_CYCLES, run_dir=str(folder)
        )

    return run


@pytest.fixture(scope="session")
def names():
    """Of its stages."""
    return [
        "preparation",
        "cycle_1_phase_one",
        "cycle_1_phase_two",
        "cycle_2_phase_one",
        "cycle_2_phase_two",
    ]


@pytest.fixture(scope="session")
def alternating(two_cycles, tmp_path_factory):
    """Its folder, complete: read, change nothing in it."""
    folder = tmp_path_factory.mktemp("alternating") / "run"
    procedure.fit(two_cycles(folder))
    return folder


@pytest.fixture(scope="session")
def arrays():
    """A function: a run's folder to the trunk's weights and statistics."""

    def read(folder):
        model, _ = models.load(pathlib.Path(folder) / "model.keras")
        return model.get_layer("trunk").get_weights()

    return read
