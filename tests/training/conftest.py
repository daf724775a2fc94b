"""Fixtures of this folder: checkpoints, and runs in other processes."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).parent / "one_run.py"


@pytest.fixture(scope="session")
def weights():
    """A function of run directory and epoch: the float arrays of the checkpoint.

    The random states are integers.
    """

    def read(run_dir, epoch):
        path = pathlib.Path(run_dir) / "checkpoints" / f"epoch_{epoch:05d}.npz"
        with np.load(path) as stored:
            arrays = dict(stored)
        return {name: a for name, a in arrays.items() if a.dtype.kind == "f"}

    return read


@pytest.fixture(scope="session")
def gap():
    """A function of two checkpoints' arrays: the largest relative difference."""

    def largest(first, second):
        assert first.keys() == second.keys()
        assert len(first) > 40
        sizes = {name: max(1.0, float(np.abs(a).max())) for name, a in first.items()}
        return max(np.abs(first[n] - second[n]).max() / sizes[n] for n in first)

    return largest


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
