"""Methods x networks x label counts x seeds: python -m benchmarks.error_rates."""

import dataclasses
import gc
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence

import joblib
import pandas as pd

from color_s4l import commands
from color_s4l.commands import option
from color_s4l.config import Run, Source
from color_s4l.errors import InputError
from color_s4l.files import write_atomically

_DESCRIPTION = """Trains every method with every network, label count and seed, and
writes the table of error rates. Runs that are complete are not run again; an
interrupted one goes on from its last complete epoch.

  python -m benchmarks.error_rates --labels=100 --methods=supervised,color_s4l
"""


@dataclasses.dataclass(frozen=True)
class ErrorRates(Source):
    """The command's flags; what is not here has the default of color_s4l.train."""

    labels: str = option("all", "Comma-separated label counts; all for every label.")
    methods: str = option("supervised,sesemi,color_s4l", "Comma-separated.")
    networks: str = option("convnet", "Comma-separated.")
    seeds: str = option("1,5,10,15", "Comma-separated; the report names these four.")
    unlabeled: int | None = option(None, "As of color_s4l.train.")
    colorizer: str | None = option(None, "As of color_s4l.train.")
    width: float = option(1.0, "As of color_s4l.train.")
    epochs: int = option(30, "As of color_s4l.train.")
    batch_size: int = option(32, "As of color_s4l.train.")
    learning_rate: float = option(0.05, "As of color_s4l.train.")
    dtype_policy: str = option("float32", "As of color_s4l.train.")
    runs: str = option("runs", "Folder of the run folders.")
    output: str = option("error_rates.csv", "The table to write, one row per run.")
    processes: int = option(1, "Runs at a time.")
    verbosity: int = option(2, "As of color_s4l.train; several processes are quiet.")


def grid(flags: ErrorRates) -> Iterator[Run]:
    """The runs of the grid, the seeds innermost.

    Raises:
        InputError: A label count or a seed is no number.
    """
    shared = {
        field.name: getattr(flags, field.name)
        for field in dataclasses.fields(Run)
        if field.name not in ("labels", "method", "network", "seed")
        and hasattr(flags, field.name)
    }
    labels = ["0" if word == "all" else word for word in flags.labels.split(",")]
    axes = (
        [count or None for count in _integers("labels", labels)],
        flags.networks.split(","),
        flags.methods.split(","),
        _integers("seeds", flags.seeds.split(",")),
    )
    for labels, network, method, seed in itertools.product(*axes):
        run = Run(labels=labels, network=network, method=method, seed=seed, **shared)
        yield dataclasses.replace(run, run_dir=str(_folder(run, flags)), resume=True)


def _integers(name: str, words: Sequence[str]) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise InputError(
            f"--{name}: expected numbers, comma-separated. Received: {words}."
        ) from error


def _folder(run: Run, flags: ErrorRates) -> pathlib.Path:
    from color_s4l.training.run_folder import default_path

    sizes = f"e{run.epochs}_b{run.batch_size}_u{run.unlabeled or 'all'}"
    return pathlib.Path(flags.runs) / f"{default_path(run).name}_{sizes}"


def error_rates(flags: ErrorRates) -> pd.DataFrame:
    """Runs the grid and writes the table after every run.

    Returns:
        One row per run, in the order of the grid.
    """
    from color_s4l import methods, tables
    from color_s4l.training import values

    runs = list(grid(flags))
    for run in runs:  # a slip in the last one shows now, not after the others
        values.check(run)
        methods.terms_of(run.method)
    print(f"runs       {len(runs)}, {flags.processes} at a time", flush=True)
    done = set()
    for path in _finished(runs, flags.processes):
        done.add(path)
        table = tables.rows(run.run_dir for run in runs if run.run_dir in done)
        _write(table, pathlib.Path(flags.output))
        print(f"run {len(done)} of {len(runs)} is complete: {path}\n", flush=True)
    print(tables.text(tables.summary(table)))
    print(f"\nwritten    {flags.output}", flush=True)
    return table


def _finished(runs: Sequence[Run], processes: int) -> Iterator[str]:
    """Folders of the runs, each as soon as it is complete."""
    if processes == 1:
        yield from map(_fit, runs)
        return
    # Each process gets its share of the cores; TensorFlow would take them all.
    threads = max(1, (os.cpu_count() or 1) // processes)
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    parallel = joblib.Parallel(processes, return_as="generator_unordered")
    quiet = [dataclasses.replace(run, verbosity=0) for run in runs]
    with joblib.parallel_config("loky", inner_max_num_threads=threads):
        yield from parallel(joblib.delayed(_fit)(run) for run in quiet)


def _fit(run: Run) -> str:
    commands.start_keras()  # in a process of its own, perhaps
    import keras

    from color_s4l.training.session import fit

    fit(run)
    # One process for many runs: what each compiled must not pile up.
    keras.backend.clear_session()
    gc.collect()
    return run.run_dir


def _write(table: pd.DataFrame, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(index=False).encode()
    write_atomically(path, lambda file: file.write(text))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return commands.run(error_rates, ErrorRates, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
