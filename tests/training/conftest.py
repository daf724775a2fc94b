"""Fixtures of this folder: checkpoints, and runs in other processes."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).parent / "one_run.py"


def _weights(run_dir, epoch: int) -> dict[str, np.ndarray]:
    """Returns the floating-point arrays of a checkpoint: all but the random states."""
    path = pathlib.Path(run_dir) / "checkpoints" / f"epoch_{epoch:05d}.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "names"}
    return {name: a for name, a in arrays.items() if a.dtype.kind == "f"}


@pytest.fixture(scope="session")
def weights():
    """A function of run directory and epoch: the arrays of the checkpoint."""
    return _weights


def _gap(first, second) -> float:
    """Returns the largest difference, relative to the largest value of each array."""
    assert first.keys() == second.keys()
    assert len(first) > 40
    sizes = {name: max(1.0, float(np.abs(a).max())) for name, a in first.items()}
    return max(np.abs(first[n] - second[n]).max() / sizes[n] for n in first)


@pytest.fixture(scope="session")
def gap():
    """A function of the arrays of two checkpoints: their largest difference."""
    return _gap


@pytest.fixture(scope="session")
def runs(python):
    """A function of jobs for `one_run.py`: the finished process."""

    def start(*jobs, **environment):
        plain = [
            {**job, "run": dataclasses.asdict(job["run"])} if "run" in job else job
            for job in jobs
        ]
        return python(SCRIPT, json.dumps(plain), **environment)

    return start
