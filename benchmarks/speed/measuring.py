"""Several cases in alternation: a busy machine is busy for all of them."""

from collections.abc import Mapping

from benchmarks.speed import rows
from benchmarks.speed.case import Case
from benchmarks.speed.measured import Measured
from benchmarks.speed.processes import FailedError, Process, closing

SUPERVISED = "supervised"


def started(
    cases: Mapping[str, Case], cache: str
) -> tuple[dict[str, Process], list[dict]]:
    """Starts the processes of several cases.

    Args:
        cases: By name.
        cache: Folder that stands in for the user's cache.

    Returns:
        Those that run, by name; and the lines of those that don't.
    """
    processes, failures = {}, []
    for name, case in cases.items():
        try:
            processes[name] = Process(case, cache)
        except FailedError as error:
            failures.append(rows.failed(case, str(error)))
    return processes, failures


def group(
    cases: Mapping[str, Case],
    supervised: Mapping[str, Process],
    cache: str,
    repeats: int,
    parts: bool,
) -> list[dict]:
    """The lines of one method in several frameworks, measured in alternation.

    Args:
        cases: By backend.
        supervised: Processes of `supervised`, by backend; may be empty.
        cache: Folder that stands in for the user's cache.
        repeats: Measurements of each.
        parts: Whether the parts of a step are timed too.
    """
    processes, lines = started(cases, cache)
    beside = {f"{SUPERVISED} {b}": p for b, p in supervised.items() if b in processes}
    with closing(processes):
        try:
            found = alternated({**processes, **beside}, repeats)
            timed = {b: p.ask("parts") if parts else {} for b, p in processes.items()}
        except FailedError as error:
            return lines + [rows.failed(p.case, str(error)) for p in processes.values()]
    for backend, seconds in timed.items():
        base = found.get(f"{SUPERVISED} {backend}")
        lines.append(rows.row(found[backend], found.get("torch"), base, seconds))
    return lines


def alternated(processes: Mapping[str, Process], repeats: int) -> dict[str, Measured]:
    """Measures processes, each in its turn, several times.

    Raises:
        FailedError: A process ended.
    """
    seconds = {name: [] for name in processes}
    for _ in range(repeats):
        for name, process in processes.items():
            seconds[name].append(process.ask("run"))
    return {
        name: Measured(
            process.case,
            seconds[name],
            process.images_per_step,
            process.ask("memory"),
            process.devices,
        )
        for name, process in processes.items()
    }
