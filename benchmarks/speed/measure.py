"""Measures each case in its own process; compared cases are measured in alternation.

With alternation, other work on the machine slows all compared cases equally.
"""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import statistics
import typing
from collections.abc import Callable, Iterator, Mapping
from unittest import mock

from benchmarks.speed import worker
from benchmarks.speed.case import Case
from color_s4l.artifacts import provenance

SUPERVISED = "supervised"
ENVIRONMENT = {
    # Several frameworks share a GPU, so none may reserve all its memory at the start.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    # Equal allocator settings for all frameworks: freed memory stays in the process,
    # so that a step causes no page faults.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
}
# Columns that a row copies from the settings of its case.
SETTINGS = (
    *("network", "method", "dtype_policy", "width", "batch_size", "labeled_batch"),
    *("image_size", "devices", "jit_compile", "steps_per_execution"),
)


class FailedError(Exception):
    """The error for a case that cannot be measured."""


class Process:
    """A new process in which one case is warmed up and measured.

    Args:
        case: The case to measure.
        cache: Directory that replaces the user's cache.

    Raises:
        FailedError: The process ended, or raised an error.
    """

    def __init__(self, case: Case, cache: str):
        self.case = case
        backend = "tensorflow" if case.backend == "torch" else case.backend
        own = {"KERAS_BACKEND": backend, "XDG_CACHE_HOME": cache}
        spawn = multiprocessing.get_context("spawn")
        self._pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn)
        with mock.patch.dict(os.environ, {**ENVIRONMENT, **os.environ, **own}):
            try:
                ready = self.ask(worker.start, case)  # starts the process
            except FailedError:
                self.close()
                raise
        self.images_per_step, self.devices = ready["images_per_step"], ready["devices"]

    def ask(self, function: Callable, *arguments: typing.Any) -> typing.Any:
        """Calls a function of the module `worker` in the new process.

        Returns:
            The function's result.

        Raises:
            FailedError: The new process ended, or the function raised an error.
        """
        try:
            return self._pool.submit(function, *arguments).result()
        except Exception as error:
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            raise FailedError(text) from error

    def close(self) -> None:
        """Ends the process."""
        self._pool.shutdown()


@contextlib.contextmanager
def started(
    cases: Mapping[str, Case], cache: str
) -> Iterator[tuple[dict[str, Process], list[dict]]]:
    """Starts a process for each case and ends all of them afterwards.

    Args:
        cases: Name -> case.
        cache: Directory that replaces the user's cache.

    Yields:
        Name -> process of the cases that run, and rows of the cases that failed.
    """
    processes, failures = {}, []
    with contextlib.ExitStack() as stack:
        for name, case in cases.items():
            try:
                processes[name] = Process(case, cache)
                stack.callback(processes[name].close)
            except FailedError as error:
                failures.append({**case.columns(SETTINGS), "remark": str(error)})
        yield processes, failures


@dataclasses.dataclass(frozen=True)
class Measured:
    """The measurements of one case.

    Attributes:
        case: The case.
        seconds: Duration of each measurement, which has `case.steps` steps.
        images_per_step: Labelled images and views that go through the trunk.
        memory: Peak bytes of the "process" and of the "device" (None on a CPU).
        devices: Names of the accelerators, or `["CPU"]`.
    """

    case: Case
    seconds: list[float]
    images_per_step: int
    memory: dict[str, typing.Any]
    devices: list[str]

    @property
    def step(self) -> float:
        """Seconds of a step: the median over the measurements."""
        return statistics.median(self.seconds) / self.case.steps

    @property
    def speed(self) -> float:
        """Images and views that go through the trunk per second, from the median."""
        return self.images_per_step / self.step

    @property
    def peak(self) -> int | None:
        """Peak bytes of the device; on a CPU, peak bytes of the process."""
        return self.memory["device"] or self.memory["process"]


def measured(processes: Mapping[str, Process], repeats: int) -> dict[str, Measured]:
    """Measures several processes in alternation, each `repeats` times.

    Raises:
        FailedError: A process ended, or its step raised an error.
    """
    seconds: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(repeats):
        for name, process in processes.items():
            seconds[name].append(process.ask(worker.run))
    return {
        name: Measured(
            p.case, seconds[name], p.images_per_step, p.ask(worker.memory), p.devices
        )
        for name, p in processes.items()
    }


def rows(
    cases: Mapping[str, Case],
    supervised: Mapping[str, Process],
    cache: str,
    repeats: int,
    parts: bool,
) -> list[dict]:
    """Returns the rows of one method in several frameworks.

    Args:
        cases: Backend -> case.
        supervised: Backend -> process of the method `supervised`; may be empty.
        cache: Directory that replaces the user's cache.
        repeats: Number of measurements of each case.
        parts: Whether to also measure the parts of a step.
    """
    with started(cases, cache) as (processes, found):
        both = [backend for backend in supervised if backend in processes]
        base = {f"{SUPERVISED} {backend}": supervised[backend] for backend in both}
        try:
            all_of = measured({**processes, **base}, repeats)
            timed = {
                b: p.ask(worker.parts) if parts else {} for b, p in processes.items()
            }
        except FailedError as error:
            about = [p.case.columns(SETTINGS) for p in processes.values()]
            return found + [{**columns, "remark": str(error)} for columns in about]
    for backend, seconds in timed.items():
        own, beside = all_of[backend], all_of.get(f"{SUPERVISED} {backend}")
        found.append(row(own, all_of.get("torch"), beside, seconds))
    return found


def row(
    ours: Measured,
    plain: Measured | None,
    supervised: Measured | None,
    parts: Mapping[str, float],
) -> dict:
    """Returns one row of the table.

    Args:
        ours: The measured case; may be the PyTorch step.
        plain: The PyTorch step, measured in alternation; None if it was not measured.
        supervised: The method `supervised`, measured in alternation; None if it was not
            measured.
        parts: Part of a step -> seconds; empty if the parts were not measured.

    Returns:
        Settings, images per second, memory, ratios, hardware, and the parts of a step
        in percent, including the "rest". The parts are measured separately, so their
        sum may be longer than the step. In this case they are percentages of the sum.
    """
    images = ours.images_per_step * ours.case.steps
    device = ours.memory["device"]
    if supervised is None and ours.case.values["method"] == SUPERVISED:
        supervised = ours

    known = sum(parts.values())
    whole = max(known, ours.step)
    timed = {**parts, "rest": whole - known} if parts else {}

    def ratio(base: Measured | None, name: str) -> float | None:
        return None if not base else round(getattr(ours, name) / getattr(base, name), 3)

    return {
        **ours.case.columns(SETTINGS),
        "images_per_second": round(ours.speed, 1),
        "slowest": round(images / max(ours.seconds), 1),
        "fastest": round(images / min(ours.seconds), 1),
        "seconds_per_step": round(ours.step, 4),
        "images_per_step": ours.images_per_step,
        "process_MB": round(ours.memory["process"] / 1e6),
        "device_MB": None if device is None else round(device / 1e6),
        "ratio_to_torch": ratio(plain, "speed"),
        "speed_to_supervised": ratio(supervised, "speed"),
        "step_to_supervised": ratio(supervised, "step"),
        "memory_to_supervised": ratio(supervised, "peak"),
        **{name: round(100 * part / whole, 1) for name, part in timed.items()},
        "n": len(ours.seconds),
        "steps": ours.case.steps,
        "remark": "",
        "hardware": provenance.hardware(ours.devices),
    }
