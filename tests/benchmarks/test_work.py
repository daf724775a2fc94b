"""Runs side by side: each outcome once, whatever becomes of its process."""

import os
import signal

import pytest

from benchmarks import work
from color_s4l.errors import InputError
from color_s4l.settings import Run

RUNS = [Run(seed=seed, run_dir=f"runs/{seed}") for seed in (1, 2, 3)]


@pytest.fixture
def pretended(monkeypatch):
    """A function that stands for training: seed 2 fails, or is killed by a signal."""

    def stand_in(killed):
        # Nested, so that it travels to other processes by value; nothing is trained.
        def quietly(run, threads):
            if run.seed == 2 and killed:
                os.kill(os.getpid(), signal.SIGKILL)
            failure = "no reason" if run.seed == 2 else None
            return work.Outcome(run.run_dir, failure, float(threads))

        monkeypatch.setattr(work, "_quietly", quietly)

    return stand_in


def installed(backend):
    """Skips the test where joblib's backend is not there."""
    needed = {"dask": "distributed", "ray": "ray"}
    if backend in needed:
        pytest.importorskip(needed[backend])


@pytest.fixture
def in_time():
    """Fails the test where it would wait for ever."""

    def late(number, frame):
        pytest.fail("no outcome after five minutes")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def outcomes(backend, processes=2):
    found = list(work.outcomes(RUNS, processes, backend, None))
    assert len(found) == len(RUNS)
    return {outcome.run_dir: outcome.failure for outcome in found}


@pytest.mark.parametrize("backend", ["loky", "dask", "ray"])
def test_every_run_has_its_outcome(pretended, backend):
    installed(backend)
    pretended(killed=False)
    expected = {"runs/1": None, "runs/2": "no reason", "runs/3": None}
    assert outcomes(backend) == expected


@pytest.mark.parametrize("backend", ["loky", "dask", "ray"])
def test_a_killed_process_costs_its_own_run_alone(pretended, backend, in_time):
    installed(backend)
    pretended(killed=True)
    found = outcomes(backend)
    assert "was killed" in found.pop("runs/2")
    assert found == {"runs/1": None, "runs/3": None}


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_backend_that_is_not_installed_is_named(monkeypatch, backend):
    monkeypatch.setattr(work.importlib.util, "find_spec", lambda name: None)
    text = rf"--joblib_backend={backend} is not installed: pip install '{backend}"
    with pytest.raises(InputError, match=text):
        work.check(2, backend, None)


def test_what_can_be_started_is_not_refused():
    work.check(1, "loky", None)
    with pytest.raises(InputError, match="--processes=0"):
        work.check(0, "loky", None)
    with pytest.raises(InputError, match="--cluster needs"):
        work.check(2, "loky", "host:1")
