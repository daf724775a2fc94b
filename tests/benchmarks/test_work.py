"""Parallel runs: each outcome once, also if a process is killed."""

import signal

import pytest

from benchmarks import work
from color_s4l.errors import InputError
from color_s4l.settings import Run

RUNS = [Run(seed=seed, run_dir=f"runs/{seed}") for seed in (1, 2, 3, 4)]
# Instead of a training: seed 2 fails, seed 3 is killed.
SCRIPT = f"""
import os, sys
if "--seed=2" in sys.argv:
    sys.exit("error: no reason")
if "--seed=3" in sys.argv:
    os.kill(os.getpid(), {signal.SIGKILL})
"""


@pytest.mark.parametrize("backend", work.BACKENDS)
def test_a_killed_process_costs_only_its_own_run(backend):
    if backend == "dask":
        pytest.importorskip("distributed")
    found = {
        outcome.run_dir: outcome.failure
        for outcome in work.outcomes(RUNS, 2, backend, program=("-c", SCRIPT))
    }
    assert "killed by SIGKILL" in found.pop("runs/3")
    assert found == {"runs/1": None, "runs/2": "no reason", "runs/4": None}


def test_a_dask_cluster_over_tcp():
    distributed = pytest.importorskip("distributed")
    local = {"threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(2, protocol="tcp://", **local) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tcp://")
        outcomes = work.outcomes(RUNS, 2, "dask", address, program=("-c", SCRIPT))
        found = {outcome.run_dir: outcome.failure for outcome in outcomes}
    assert "killed by SIGKILL" in found.pop("runs/3")
    assert found == {"runs/1": None, "runs/2": "no reason", "runs/4": None}


def test_a_run_in_a_new_process(tmp_path, small_dir):
    run = Run(
        dataset="folder",
        data_dir=str(small_dir),
        labels=16,
        method="supervised",
        width=0.03,
        epochs=1,
        batch_size=16,
        zca=False,
        run_dir=str(tmp_path / "run"),
    )
    outcome = work._train_in_new_process(run, 2)
    assert (outcome.failure, outcome.seconds > 0) == (None, True)
    assert (tmp_path / "run" / "result.json").exists()
    again = work._train_in_new_process(run, 2)
    assert "exists: continue with --resume" in again.failure


def test_wrong_settings_are_refused(monkeypatch):
    work.check("loky", None)
    with pytest.raises(InputError, match="`cluster` needs `joblib_backend`=dask"):
        work.check("loky", "host:1")
    monkeypatch.setattr(work.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'dask\[distributed\]'"):
        work.check("dask", None)
