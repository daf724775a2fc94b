"""What a GPU measures in the minutes that it has: python -m benchmarks.gpu."""

import dataclasses
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from color_s4l import command_line
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError
from color_s4l.fields import option
from color_s4l.settings import Run

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "flags"
LABELS = ("cifar10_4000", "cifar10_1000", "cifar10_all", "cifar100_20000")
METHODS = ("color_s4l", "sesemi")
ROWS = ",".join(f"{m}/convnet/{labels}" for labels in LABELS for m in METHODS)
# A run writes its last complete epoch before; this long it may take to end.
GRACE_SECONDS = 60
_DESCRIPTION = """Measures throughput, then trains the published rows, the most
informative first, until the minutes are used up. What is complete is not done again:
the same command goes on, from the last complete epoch.

  python -m benchmarks.gpu --minutes=60 --data_dir=tfds
"""


@dataclasses.dataclass(frozen=True)
class Gpu:
    """The command's flags."""

    minutes: float = option(60.0, "After these it stops, in the middle of a run too.")
    output: str = option("bench_gpu", "Folder of everything it writes.")
    data_dir: str | None = option(None, "As of color_s4l.train.")
    rows: str = option(ROWS, "Flagfiles below --flags_dir, comma-separated, in order.")
    flags_dir: str = option(str(FLAGS), "Folder of the flagfiles.")
    seeds: str = option(
        "1,5,10,15", "Comma-separated; all rows with the first, then..."
    )
    dtype_policy: str = option("mixed_bfloat16", "As of color_s4l.train.")
    steps_per_execution: int = option(100, "As of color_s4l.train.")
    throughput: str = option(
        "--batch_size=32 --steps=100 --repeats=5 --steps_per_execution=100",
        "Flags of benchmarks.throughput; empty: it is not measured.",
    )


@dataclasses.dataclass(frozen=True)
class Job:
    """One command to run.

    Attributes:
        name: To be shown.
        words: What follows `python -m`.
        done: The file that says it is complete.
    """

    name: str
    words: tuple[str, ...]
    done: pathlib.Path


def jobs(flags: Gpu) -> Iterator[Job]:
    """Everything to do, the most informative first.

    A colorizer stands before the first row that needs it.

    Raises:
        InputError: A flagfile does not exist or is wrong, or a seed is no number.
    """
    folder = pathlib.Path(flags.output)
    if flags.throughput:
        output = folder / "throughput.csv"
        words = (*flags.throughput.split(), f"--output={output}")
        yield Job("throughput", ("benchmarks.throughput", *words), output)
    for seed in _seeds(flags):
        for row in flags.rows.split(","):
            path = pathlib.Path(flags.flags_dir) / f"{row}.cfg"
            if not path.is_file():
                raise InputError(f"--rows: there is no flagfile {path}.")
            run = command_line.parse(Run, [f"--flagfile={path}"], "")
            colorizer = None
            if run.colorizer:
                colorizer = folder / pathlib.Path(run.colorizer).name
                yield _colorizer(run, colorizer, flags)
            yield _row(row, seed, path, colorizer, flags)


def _seeds(flags: Gpu) -> list[int]:
    try:
        return [int(word) for word in flags.seeds.split(",")]
    except ValueError as error:
        raise InputError(
            f"--seeds: expected numbers, comma-separated. Received: {flags.seeds!r}."
        ) from error


def _colorizer(run: Run, path: pathlib.Path, flags: Gpu) -> Job:
    """The training of a row's colorizer; its file's name says the epochs."""
    epochs = re.fullmatch(r".*_(\d+)", path.stem)
    if not epochs:
        raise InputError(
            f"Expected a colorizer named <data set>_<epochs>.h5. Received: {path.name}."
        )
    words = [
        "colorization.train",
        f"--dataset={run.dataset}",
        f"--epochs={epochs[1]}",
        f"--output={path}",
        "--resume",
        "--verbosity=2",
    ]
    if run.image_size:
        words.append(f"--image_size={run.image_size}")
    return Job(f"colorizer {path.stem}", (*words, *_data_dir(run, flags)), path)


def _row(
    row: str, seed: int, path: pathlib.Path, colorizer: pathlib.Path | None, flags: Gpu
) -> Job:
    folder = _folder(row, seed, flags)
    words = [
        "color_s4l.train",
        f"--flagfile={path}",
        f"--seed={seed}",
        f"--run_dir={folder}",
        "--resume",
        f"--dtype_policy={flags.dtype_policy}",
        f"--steps_per_execution={flags.steps_per_execution}",
        "--verbosity=2",
    ]
    if colorizer:
        words.append(f"--colorizer={colorizer}")
    if flags.data_dir:
        words.append(f"--data_dir={flags.data_dir}")
    return Job(f"{row}, seed {seed}", tuple(words), folder / "result.json")


def _data_dir(run: Run, flags: Gpu) -> list[str]:
    directory = flags.data_dir or run.data_dir
    return [f"--data_dir={directory}"] if directory else []


def _folder(row: str, seed: int, flags: Gpu) -> pathlib.Path:
    return pathlib.Path(flags.output) / "runs" / f"{row.replace('/', '_')}_s{seed}"


def gpu(flags: Gpu) -> None:
    """Runs the command.

    Raises:
        InputError: A value does not fit, or a job failed (the others were done).
    """
    if not flags.minutes > 0:
        raise InputError(f"--minutes={flags.minutes}: expected more than 0.")
    end = time.monotonic() + 60 * flags.minutes
    every = list({job.done: job for job in jobs(flags)}.values())
    pathlib.Path(flags.output).mkdir(parents=True, exist_ok=True)
    failed = work(every, lambda: end - time.monotonic(), flags)
    left = [job.name for job in every if not job.done.exists()]
    if left:
        print(f"not done   {len(left)} of {len(every)}; the same command goes on")
    if failed:
        raise InputError(f"Failed: {'; '.join(failed)}. Their output says why.")


def work(every: Sequence[Job], left: Callable[[], float], flags: Gpu) -> list[str]:
    """Runs what is not complete yet, one after the other, while time is left.

    Args:
        every: In order.
        left: Tells the seconds that are left.
        flags: Of the table that is written after each job.

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
        if not _ran(job, left()):
            print(f"stopped    {job.name}: the minutes are used up", flush=True)
            break
        if not job.done.exists():
            failed.append(job.name)
            print(f"failed     {job.name}", flush=True)
        _write(flags)
    return failed


def _ran(job: Job, seconds: float) -> bool:
    """Runs a job; False where it was interrupted because its time was over."""
    process = subprocess.Popen([sys.executable, "-m", *job.words])
    try:
        process.wait(timeout=seconds)
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return False
    finally:
        _ended(process)


def _ended(process: subprocess.Popen) -> None:
    """Gives an interrupted process time to end by itself."""
    try:
        process.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _write(flags: Gpu) -> None:
    """One line for each complete run, in the order of the rows."""
    from color_s4l.artifacts import tables

    folders = [
        _folder(row, seed, flags)
        for seed in _seeds(flags)
        for row in flags.rows.split(",")
    ]
    complete = [folder for folder in folders if (folder / "result.json").exists()]
    if complete:
        table: pd.DataFrame = tables.rows(complete)
        text = table.to_csv(index=False).encode()
        path = pathlib.Path(flags.output) / "error_rates.csv"
        write_atomically(path, lambda file: file.write(text))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(gpu, Gpu, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
