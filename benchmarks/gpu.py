"""Measurements on a GPU in limited time: python -m benchmarks.gpu."""

import dataclasses
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

from benchmarks import origin
from color_s4l import command_line
from color_s4l import fields as field_ranges
from color_s4l.errors import InputError
from color_s4l.fields import Above, option
from color_s4l.settings import Run

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "flags"
LABELS = ("cifar10:4000", "cifar10:1000", "cifar10:all", "cifar100:20000")
METHODS = ("color_s4l", "sesemi")
ROWS = ",".join(f"{m}/{labels}" for labels in LABELS for m in METHODS)
# Time for an interrupted process to end by itself.
GRACE_SECONDS = 60
_DESCRIPTION = """Measures the throughput and then trains the published rows, the most
informative ones first, until the time is used up. Complete parts are not computed again:
the same command continues after the last complete epoch.

  python -m benchmarks.gpu --minutes=60 --data_dir=tfds
"""


@dataclasses.dataclass(frozen=True)
class Gpu:
    """The flags of the command."""

    minutes: Annotated[float, Above(0)] = option(
        60.0, "Time limit; a run may be interrupted."
    )
    output: str = option("bench_gpu", "Folder of everything it writes.")
    data_dir: str | None = option(None, "As in color_s4l.train.")
    rows: str = option(
        ROWS, "FLAGFILE:LABELS below --flags_dir, comma-separated, in this order."
    )
    flags_dir: str = option(str(FLAGS), "Folder of the flagfiles.")
    seeds: str = option(
        "1,5,10,15", "Comma-separated; all rows with the first seed, then the second..."
    )
    dtype_policy: str = option("mixed_bfloat16", "As in color_s4l.train.")
    steps_per_execution: int = option(100, "As in color_s4l.train.")
    throughput: str = option(
        "--batch_size=32 --steps=100 --repeats=5 --steps_per_execution=100",
        "Flags of benchmarks.throughput; empty: it is not measured.",
    )


@dataclasses.dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        name: Name for messages.
        words: The arguments after `python -m`.
        done: File that exists once the job is complete.
    """

    name: str
    words: tuple[str, ...]
    done: pathlib.Path


def jobs(flags: Gpu) -> Iterator[Job]:
    """Yields all jobs, the most informative first.

    A colorizer comes before the first row that needs it.

    Raises:
        InputError: A flagfile does not exist or is wrong, or a seed is not a number.
    """
    folder = pathlib.Path(flags.output)
    if flags.throughput:
        output = folder / "throughput.csv"
        words = (*flags.throughput.split(), f"--output={output}")
        yield Job("throughput", ("benchmarks.throughput", *words), output)
    for seed in origin.numbers("seeds", flags.seeds):
        for row in flags.rows.split(","):
            name, _, labels = row.partition(":")
            path = pathlib.Path(flags.flags_dir) / f"{name}.cfg"
            if not path.is_file():
                raise InputError(f"`rows`: there is no flagfile {path}.")
            run = command_line.parse(Run, [f"--flagfile={path}"], "")
            directory = flags.data_dir or run.data_dir
            words = [f"--data_dir={directory}"] if directory else []
            if run.colorizer:
                colorizer = folder / pathlib.Path(run.colorizer).name
                yield _colorizer(run, colorizer, words)
                words.append(f"--colorizer={colorizer}")
            if labels and labels != "all":
                words.append(f"--labels={labels}")
            yield _training(row, seed, path, words, flags)


def _colorizer(run: Run, path: pathlib.Path, words: Sequence[str]) -> Job:
    """Returns the training of a colorizer; its file name has the number of epochs."""
    epochs = re.fullmatch(r".*_(\d+)", path.stem)
    if not epochs:
        raise InputError(
            f"Expected a colorizer named <data set>_<epochs>.h5. Received: {path.name}."
        )
    own = [f"--dataset={run.dataset}", f"--epochs={epochs[1]}", f"--output={path}"]
    own += ["--resume", "--verbosity=2", *words]
    if run.image_size:
        own.append(f"--image_size={run.image_size}")
    return Job(f"colorizer {path.stem}", ("colorization.train", *own), path)


def _training(
    row: str, seed: int, path: pathlib.Path, words: Sequence[str], flags: Gpu
) -> Job:
    name = re.sub(r"\W", "_", row)
    folder = pathlib.Path(flags.output) / "runs" / f"{name}_s{seed}"
    own = [
        f"--flagfile={path}",
        f"--seed={seed}",
        f"--run_dir={folder}",
        "--resume",
        f"--dtype_policy={flags.dtype_policy}",
        f"--steps_per_execution={flags.steps_per_execution}",
        "--verbosity=2",
        *words,
    ]
    done = folder / "result.json"
    return Job(f"{row}, seed {seed}", ("color_s4l.train", *own), done)


def gpu(flags: Gpu) -> None:
    """Runs the jobs until the time is used up.

    Raises:
        InputError: A value is wrong, or a job failed (the others were run).
    """
    field_ranges.check(flags)
    end = time.monotonic() + 60 * flags.minutes
    every = list({job.done: job for job in jobs(flags)}.values())
    pathlib.Path(flags.output).mkdir(parents=True, exist_ok=True)
    failed = work(every, lambda: end - time.monotonic(), flags)
    left = [job.name for job in every if not job.done.exists()]
    if left:
        print(f"not done   {len(left)} of {len(every)}; the same command continues")
    if failed:
        raise InputError(f"Failed: {'; '.join(failed)}. See their output above.")


def work(every: Sequence[Job], left: Callable[[], float], flags: Gpu) -> list[str]:
    """Runs the jobs that are not complete, one after the other, while time is left.

    Args:
        every: The jobs, in order.
        left: Returns the seconds that are left.
        flags: Settings of the table, which is written after each job.

    Returns:
        Names of the jobs that failed.
    """
    failed = []
    for job in every:
        if job.done.exists():
            print(f"complete   {job.name}", flush=True)
            continue
        if left() <= 0:
            break
        print(f"begins     {job.name}, {left() / 60:.0f} minutes left", flush=True)
        if not _finished(job, left()):
            print(f"stopped    {job.name}: the time is used up", flush=True)
            break
        if not job.done.exists():
            failed.append(job.name)
            print(f"failed     {job.name}", flush=True)
        _write([one.done.parent for one in every if one.done.exists()], flags)
    return failed


def _finished(job: Job, seconds: float) -> bool:
    """Runs a job; returns False if it was interrupted because the time was over."""
    process = subprocess.Popen([sys.executable, "-m", *job.words])
    try:
        process.wait(timeout=seconds)
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return False
    finally:
        try:
            process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write(folders: Sequence[pathlib.Path], flags: Gpu) -> None:
    """Writes one row for each complete run, in the order of the rows."""
    from color_s4l.artifacts import tables

    runs = [folder for folder in folders if (folder / "result.json").exists()]
    if runs:
        path = pathlib.Path(flags.output) / "error_rates.csv"
        origin.write_csv(tables.rows(runs), path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(gpu, Gpu, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
