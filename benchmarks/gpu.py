"""Measurements on a GPU in limited time: python -m benchmarks.gpu."""

import dataclasses
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Annotated

from benchmarks import origin
from color_s4l import command_line, fields
from color_s4l.errors import InputError
from color_s4l.fields import Above, option
from color_s4l.settings import Run

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "flags"
LABELS = ("cifar10:4000", "cifar10:1000", "cifar10:all", "cifar100:20000")
ROWS = ",".join(f"{m}/{labels}" for labels in LABELS for m in ("color_s4l", "sesemi"))
_DESCRIPTION = """Measures the throughput and then trains rows of the published tables,
the most informative rows first, until the time is used up. Complete parts are not
computed again: repeat the command to continue after the last complete epoch.

  python -m benchmarks.gpu --minutes=60 --data_dir=tfds
"""


@dataclasses.dataclass(frozen=True)
class Gpu:
    """The flags of the command."""

    minutes: Annotated[float, Above(0)] = option(
        60.0, "Time limit in minutes; the current run is interrupted."
    )
    output: str = option("bench_gpu", "Folder for all output.")
    data_dir: str | None = option(None, "As in color_s4l.train.")
    rows: str = option(
        ROWS, "FLAGFILE:LABELS, comma-separated; FLAGFILE in flags/, without .cfg."
    )
    seeds: str = option(
        "1,5,10,15", "Comma-separated; all rows use the first seed, then the next."
    )
    dtype_policy: str = option("mixed_bfloat16", "As in color_s4l.train.")
    steps_per_execution: int = option(100, "As in color_s4l.train.")
    throughput: str = option(
        "--batch_size=32 --steps=100 --repeats=5 --steps_per_execution=100",
        "Flags of benchmarks.throughput; empty: throughput is not measured.",
    )


@dataclasses.dataclass(frozen=True)
class Job:
    """One command to run.

    Attributes:
        name: Name for messages.
        words: The arguments after `python -m`.
        done: File that exists once the job is complete.
    """

    name: str
    words: tuple[str, ...]
    done: pathlib.Path


def jobs(flags: Gpu) -> Iterator[Job]:
    """Yields all jobs, the most informative first; a colorizer's job may be repeated.

    Raises:
        InputError: A flagfile does not exist or is wrong, or a seed is not a number.
    """
    folder = pathlib.Path(flags.output)
    if flags.throughput:
        output = folder / "throughput.csv"
        words = (*flags.throughput.split(), f"--output={output}")
        yield Job("throughput", ("benchmarks.throughput", *words), output)
    for seed in origin.numbers("seeds", flags.seeds):
        for row in origin.words("rows", flags.rows):
            yield from _jobs_of_row(row, seed, folder, flags)


def _jobs_of_row(row: str, seed: int, folder: pathlib.Path, flags: Gpu) -> list[Job]:
    """Returns the jobs of a row: the colorizer's training, if needed, and the run."""
    name, _, labels = row.partition(":")
    path = FLAGS / f"{name}.cfg"
    if not path.is_file():
        raise InputError(f"`rows`: there is no flagfile {path}.")
    run = command_line.parse(Run, [f"--flagfile={path}"], "")
    shared = ["--resume", "--verbosity=2"]
    if flags.data_dir:
        shared.append(f"--data_dir={flags.data_dir}")
    found, words = [], [f"--flagfile={path}", f"--seed={seed}", *shared]
    if run.colorizer:
        file = folder / pathlib.Path(run.colorizer).name
        epochs = file.stem.rpartition("_")[2]
        own = [f"--dataset={run.dataset}", f"--epochs={epochs}", f"--output={file}"]
        command = ("colorization.train", *own, *shared)
        found.append(Job(f"colorizer {file.stem}", command, file))
        words.append(f"--colorizer={file}")
    if labels and labels != "all":
        words.append(f"--labels={labels}")
    run_dir = folder / "runs" / f"{re.sub(r'[^A-Za-z0-9]+', '_', row)}_s{seed}"
    words.append(f"--run_dir={run_dir}")
    for field in ("dtype_policy", "steps_per_execution"):
        words.append(f"--{field}={getattr(flags, field)}")
    training = ("color_s4l.train", *words)
    return [*found, Job(f"{row}, seed {seed}", training, run_dir / "result.json")]


def gpu(flags: Gpu) -> None:
    """Runs the jobs that are not complete, one after the other, until time is up.

    The table of error rates is written after each job.

    Raises:
        InputError: A value is wrong, or a job failed (the other jobs were run).
    """
    from color_s4l.artifacts import tables

    fields.check(flags)
    end = time.monotonic() + 60 * flags.minutes
    every = list({job.done: job for job in jobs(flags)}.values())
    folder = pathlib.Path(flags.output)
    folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for job in every:
        left = end - time.monotonic()
        if job.done.exists():
            print(f"complete   {job.name}", flush=True)
            continue
        print(f"begins     {job.name}, {left / 60:.0f} minutes left", flush=True)
        try:
            # A killed training loses at most the current epoch.
            command = [sys.executable, "-m", *job.words]
            subprocess.run(command, timeout=max(0, left))
        except subprocess.TimeoutExpired:
            print(f"stopped    {job.name}: the time is used up", flush=True)
            break
        if not job.done.exists():
            failed.append(job.name)
        files = [one.done for one in every if one.done.exists()]
        runs = [file.parent for file in files if file.name == "result.json"]
        if runs:
            origin.write_csv(tables.rows(runs), folder / "error_rates.csv")
    if failed:
        raise InputError(f"Failed: {'; '.join(failed)}. See their output above.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(gpu, Gpu, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
