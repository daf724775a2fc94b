"""Trains several runs, one after the other or in parallel."""

import contextlib
import dataclasses
import gc
import importlib.util
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence

import joblib

from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.settings import Run

BACKENDS = ("loky", "dask")
TRAIN = ("-m", "color_s4l.train")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of one training run.

    Attributes:
        run_dir: The run directory.
        failure: Reason for the failure, in one line; None if the run is complete.
        seconds: Duration of the training run.
    """

    run_dir: str
    failure: str | None
    seconds: float


def check(backend: str, cluster: str | None) -> None:
    """Checks that the runs can be started.

    Raises:
        InputError: dask is not installed, or `cluster` is given without dask.
    """
    if cluster and backend != "dask":
        raise InputError("`cluster` needs `joblib_backend`=dask.")
    if backend == "dask" and importlib.util.find_spec("distributed") is None:
        raise InputError(
            "`joblib_backend`=dask needs a package: pip install 'dask[distributed]'."
        )


def outcomes(
    runs: Sequence[Run],
    processes: int,
    backend: str = "loky",
    cluster: str | None = None,
    program: Sequence[str] = TRAIN,
) -> Iterator[Outcome]:
    """Trains the runs and yields each outcome as soon as it is known, in any order.

    Args:
        runs: The runs, each with its `run_dir`.
        processes: Number of runs trained at the same time. With 1 and no cluster, the
            runs are trained in this process.
        backend: One of `BACKENDS`.
        cluster: Address of a dask scheduler; None uses this machine only.
        program: Arguments of Python that start a training run in a new process.
    """
    if processes == 1 and not cluster:
        yield from map(_train, runs)
        return
    with _parallel_backend(backend, processes, cluster):
        parallel = joblib.Parallel(processes, return_as="generator_unordered")
        yield from parallel(
            joblib.delayed(_train_in_new_process)(run, processes, program)
            for run in runs
        )


@contextlib.contextmanager
def _parallel_backend(
    backend: str, processes: int, cluster: str | None
) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if backend == "dask":
            from distributed import Client

            local = {"threads_per_worker": 1, "dashboard_address": None}
            here = {} if cluster else {"n_workers": processes, **local}
            stack.enter_context(Client(cluster, **here))
        stack.enter_context(joblib.parallel_config(backend))
        yield


def _train(run: Run) -> Outcome:
    command_line.start_keras()
    import keras

    from color_s4l.recipes import procedure

    started, failure = time.perf_counter(), None
    try:
        procedure.fit(run)
    except InputError as error:
        failure = command_line.with_flags(str(error), Run)
    except Exception as error:  # a bug must not stop the other runs
        traceback.print_exc(file=sys.stderr)
        failure = f"{type(error).__name__}: {error}".splitlines()[0]
    # Many runs share this process: compiled steps must not accumulate in memory.
    keras.backend.clear_session()
    gc.collect()
    return Outcome(str(run.run_dir), failure, time.perf_counter() - started)


def _train_in_new_process(
    run: Run, processes: int, program: Sequence[str] = TRAIN
) -> Outcome:
    """Trains in a new process, so that killing the process stops only this run."""
    # Each process gets its share of the cores; TensorFlow would use all of them.
    threads = max(1, (os.cpu_count() or 1) // processes)
    words = command_line.spelled(dataclasses.replace(run, verbosity=0))
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *program, *words],
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": str(threads)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    failure = None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        failure = f"its process was killed by {name} (out of memory?)"
    elif done.returncode:
        lines = done.stderr.strip().splitlines() or ["no error message"]
        failure = lines[-1].removeprefix("error: ")
    return Outcome(str(run.run_dir), failure, time.perf_counter() - started)
