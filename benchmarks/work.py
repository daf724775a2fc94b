"""Runs done one after the other or side by side; one that fails stops no other."""

import contextlib
import dataclasses
import gc
import importlib.util
import io
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool

from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.settings import Run

BACKENDS = ("loky", "dask", "ray")
_NEEDS = {"dask": ("distributed", "dask[distributed]"), "ray": ("ray", "ray")}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        run_dir: Its folder.
        failure: Why it failed, in one line; None where it holds its result.
        seconds: How long it took.
    """

    run_dir: str
    failure: str | None
    seconds: float


def check(processes: int, backend: str, cluster: str | None) -> None:
    """Refuses what can't be started.

    Raises:
        InputError: Less than one process, a backend that is not installed, or a
            cluster without a backend that has one.
    """
    if processes < 1:
        raise InputError(f"--processes={processes}: expected at least 1.")
    if backend in _NEEDS:
        module, package = _NEEDS[backend]
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"--joblib_backend={backend} is not installed: pip install '{package}'."
            )
    elif cluster:
        raise InputError("--cluster needs --joblib_backend=dask or ray.")


def outcomes(
    runs: Sequence[Run], processes: int, backend: str, cluster: str | None
) -> Iterator[Outcome]:
    """Does the runs; yields each as soon as it is over, in any order.

    Args:
        runs: With their folders.
        processes: Runs at a time.
        backend: One of `BACKENDS`, joblib's; one process needs none.
        cluster: Address of a scheduler of dask or ray; None for this machine alone.
            dask's own setting (allowed-failures) says how often it does a killed run
            again.
    """
    if processes == 1 and backend == "loky":
        yield from (_outcome(run) for run in runs)
        return
    waiting = {run.run_dir: run for run in runs}
    with contextlib.suppress(_killed(backend)):
        for outcome in _side_by_side(runs, processes, backend, cluster):
            del waiting[outcome.run_dir]
            yield outcome
    # A process was killed, and others with it: which run did it shows alone.
    for run in waiting.values():
        yield _alone(run, backend, cluster)


def _alone(run: Run, backend: str, cluster: str | None) -> Outcome:
    found = []
    with contextlib.suppress(_killed(backend)):
        found += _side_by_side([run], 2, backend, cluster)
    killed = Outcome(run.run_dir, "its process was killed (out of memory?)", 0.0)
    return found[0] if found else killed


def _killed(backend: str) -> type[Exception]:
    """What is raised when a process was killed, and the pool with it; dask's lives."""
    if backend == "ray":
        from ray.exceptions import RayActorError

        return RayActorError
    return BrokenProcessPool


def _side_by_side(
    runs: Sequence[Run], processes: int, backend: str, cluster: str | None
) -> Iterator[Outcome]:
    # Each process gets its share of the cores; TensorFlow would take them all.
    threads = max(1, (os.cpu_count() or 1) // processes)
    with _pool(backend, processes, threads, cluster):
        parallel = joblib.Parallel(processes, return_as="generator_unordered")
        yield from parallel(joblib.delayed(_quietly)(run, threads) for run in runs)


@contextlib.contextmanager
def _pool(
    backend: str, processes: int, threads: int, cluster: str | None
) -> Iterator[None]:
    """joblib's backend, and the cluster behind it where it needs one."""
    with contextlib.ExitStack() as stack:
        if backend == "loky":
            how = {"inner_max_num_threads": threads}
        elif backend == "dask":
            how = {}
            stack.enter_context(_dask_client(processes, cluster))
        else:
            how = {}
            stack.enter_context(_ray_context(processes, cluster))
        stack.enter_context(joblib.parallel_config(backend, **how))
        yield


def _dask_client(processes: int, cluster: str | None):
    from distributed import Client, KilledWorker
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        # joblib's own tells of results alone, and would wait for others for ever.
        def submit(self, func, callback=None):
            def tell(done):
                error = done.exception()
                if error:
                    callback([] if isinstance(error, KilledWorker) else error)

            future = super().submit(func, callback)
            future.add_done_callback(tell)
            return future

    joblib.register_parallel_backend("dask", Backend)
    if cluster:
        return Client(cluster)
    return Client(
        n_workers=processes,
        threads_per_worker=1,
        dashboard_address=None,
        # Or it would begin anew, four times, what its process was killed for.
        scheduler_kwargs={"allowed_failures": 0},
    )


def _ray_context(processes: int, cluster: str | None):
    import ray
    from ray.util.joblib.ray_backend import RayBackend

    class Backend(RayBackend):
        # Its pool tells of each run that is over; multiprocessing's, from which it
        # descends, does so unreliably, and joblib refuses to ask both.
        supports_return_generator = True

    joblib.register_parallel_backend("ray", Backend)
    if cluster:
        return ray.init(cluster)
    return ray.init(num_cpus=processes, include_dashboard=False)


def _quietly(run: Run, threads: int) -> Outcome:
    """In a process of its own: nothing but the outcome is told."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    with contextlib.redirect_stdout(io.StringIO()):
        return _outcome(dataclasses.replace(run, verbosity=0))


def _outcome(run: Run) -> Outcome:
    command_line.start_keras()
    import keras

    from color_s4l.recipes.procedure import fit

    started, failure = time.perf_counter(), None
    try:
        fit(run)
    except InputError as error:
        failure = str(error)
    except Exception as error:  # a fault of ours must not cost the other runs
        traceback.print_exc(file=sys.stderr)
        failure = f"{type(error).__name__}: {error}".splitlines()[0]
    # One process for many runs: what each compiled must not pile up.
    keras.backend.clear_session()
    gc.collect()
    return Outcome(run.run_dir, failure, time.perf_counter() - started)
