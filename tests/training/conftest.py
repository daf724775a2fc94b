"""What several files of this folder need: checkpoints, and runs in other processes."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).parent / "one_run.py"


def _weights(run_dir, epoch: int) -> dict[str, np.ndarray]:
    """Everything in a checkpoint but the random states, which are integers."""
    path = pathlib.Path(run_dir) / "checkpoints" / f"epoch_{epoch:05d}.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "names"}
    return {name: a for name, a in arrays.items() if a.dtype.kind == "f"}


@pytest.fixture(scope="session")
def weights():
    """A function: run folder and epoch to the arrays of its checkpoint."""
    return _weights


def _gap(first, second) -> float:
    """The largest difference between two checkpoints, relative to each array's size."""
    assert first.keys() == second.keys()
    assert len(first) > 40
    sizes = {name: max(1.0, float(np.abs(a).max())) for name, a in first.items()}
    return max(np.abs(first[n] - second[n]).max() / sizes[n] for n in first)


@pytest.fixture(scope="session")
def gap():
    """A function: two checkpoints' arrays to their largest difference."""
    return _gap


@pytest.fixture(scope="session")
def runs(python):
    """A function: dictionaries for `one_run.py` to the finished process."""

    def start(*arguments, **environment):
        plain = [{**a, "run": dataclasses.asdict(a["run"])} for a in arguments]
        return python(SCRIPT, json.dumps(plain), **environment)

    return start
