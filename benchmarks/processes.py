"""Distributed runs on this machine: python -m benchmarks.processes."""

import dataclasses
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import numpy as np
import pandas as pd

from benchmarks import origin
from color_s4l import command_line, fields
from color_s4l.errors import InputError
from color_s4l.fields import AtLeast, OneOf, option
from color_s4l.settings import Run

_DESCRIPTION = """Trains runs in several processes on this machine.

--measure=kills: kills a process (SIGKILL) at a random moment, resumes the run, and so
on. Measures how long the other processes take to stop, and compares the last weights
with those of a run in one process.
--measure=identity: compares the last weights of 2 processes, of 4 processes, and of a
run that is continued by other numbers of processes (2, then 1, then 4) with those of
one process.
--measure=speed: images per second of 1, 2 and 4 processes that share the cores of this
machine.

  python -m benchmarks.processes --measure=kills --kills=10 --backends=jax
"""
# After one process is killed, the others must stop within this time, in seconds.
LIMIT = 60.0
# A narrow network on small images, with two steps per epoch, so that most of the time
# is the start of the processes. Training amplifies the differences that come from
# rounding; the small learning rate keeps them small.
SMALL = Run(
    image_size=16,
    labels=20,
    unlabeled=32,
    width=0.03,
    batch_size=16,
    labeled_batch=16,
    dropout=0.0,
    learning_rate=0.001,
    resume=True,
    verbosity=2,
)
# One run is continued by these numbers of processes, for this number of epochs each.
CHAIN, EPOCHS = (2, 1, 4), 2
# Settings for --measure=speed. An epoch has `STEPS` steps.
LARGER = Run(
    dataset="drawings",
    labels=100,
    method="sesemi",
    network="airbench",
    width=0.25,
    epochs=3,
    resume=True,
)
COUNTS, BATCH, STEPS = (1, 2, 4), 32, 10
_EPOCH = re.compile(r"epoch_(\d+)\.npz")
_GONE = re.compile(r"error: Process (\d+) of .* is gone")


@dataclasses.dataclass(frozen=True)
class Processes:
    """The flags of the command."""

    measure: Annotated[str, OneOf("kills", "identity", "speed")] = option(
        "kills", "What is measured."
    )
    backends: str = option("tensorflow,jax", "Backends of Keras.")
    methods: str = option(
        "color_s4l,fixmatch,mean_teacher,temporal_ensembling",
        "Methods that are compared (--measure=identity).",
    )
    kills: Annotated[int, AtLeast(0)] = option(10, "Number of kills for each backend.")
    processes: Annotated[int, AtLeast(2)] = option(
        2, "Number of processes of which one is killed."
    )
    seed: int = option(1, "Seed of the kill times and of the choice of the process.")
    output: str = option("processes.csv", "Table of the results.")


def start(backend: str, run: Run, count: int) -> list[subprocess.Popen]:
    """Starts the processes of a run on this machine; they share its cores evenly."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    cores = sorted(os.sched_getaffinity(0))
    started = []
    for number in range(count):
        if count > 1:
            place = {"num_processes": count, "process_id": number}
            run = dataclasses.replace(
                run, distributed=True, coordinator=address, **place
            )
        own = cores[number::count] if count <= len(cores) else cores
        started.append(
            subprocess.Popen(
                [
                    *("taskset", "--cpu-list", ",".join(map(str, own))),
                    *(sys.executable, "-m", "color_s4l.train"),
                    *command_line.spelled(run),
                ],
                env={**os.environ, "KERAS_BACKEND": backend},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def finish(backend: str, run: Run, count: int) -> None:
    """Starts the processes of a run and waits for them.

    Raises:
        InputError: A process failed.
    """
    started = start(backend, run, count)
    texts = [process.communicate()[1].strip() for process in started]
    if any(process.returncode for process in started):
        raise InputError(f"A process failed: {' | '.join(texts)}")


def complete_epochs(folder: pathlib.Path) -> int:
    """Returns the number of the last checkpoint; 0 if there is none."""
    names = (folder / "checkpoints").glob("*")
    found = [int(m[1]) for p in names if (m := _EPOCH.fullmatch(p.name))]
    return max(found, default=0)


def train_until(
    backend: str, run: Run, count: int, epoch: int
) -> list[subprocess.Popen]:
    """Starts the processes of a run and returns them once `epoch` is complete.

    Raises:
        InputError: A process ended before the epoch was complete.
    """
    started = start(backend, run, count)
    while complete_epochs(pathlib.Path(run.run_dir or "")) < epoch:
        if any(process.poll() is not None for process in started):
            for process in started:
                process.kill()
            texts = [process.communicate()[1].strip() for process in started]
            raise InputError(f"A process ended: {' | '.join(texts)}")
        time.sleep(0.05)
    return started


def killed(backend: str, run: Run, count: int, chance: random.Random) -> dict:
    """Starts a run, kills a process after its next epoch, and watches the others.

    Returns:
        A row of the table: number of complete epochs, number of the killed process,
        seconds until all others have stopped, whether all others name the killed
        process in their messages, and the largest number of lines of a message.
    """
    folder = pathlib.Path(run.run_dir or "")
    started = train_until(backend, run, count, complete_epochs(folder) + 1)
    time.sleep(chance.uniform(0, 3))
    victim = chance.randrange(count)
    os.kill(started[victim].pid, signal.SIGKILL)
    at = time.monotonic()
    others = [process for n, process in enumerate(started) if n != victim]
    lines = []
    for process in others:
        try:
            lines.append(process.communicate(timeout=LIMIT)[1].strip())
        except subprocess.TimeoutExpired:
            process.kill()
            lines.append("did not stop")
    named = [m[1] if (m := _GONE.search(text)) else None for text in lines]
    return {
        "epochs": complete_epochs(folder),
        "killed": victim,
        "seconds": round(time.monotonic() - at, 2),
        "named": all(name == str(victim) for name in named),
        "lines": max(len(text.splitlines()) for text in lines),
    }


def _arrays(folder: pathlib.Path, epoch: int) -> dict[str, np.ndarray]:
    with np.load(folder / "checkpoints" / f"epoch_{epoch:05d}.npz") as stored:
        return {name: a for name, a in stored.items() if a.dtype.kind == "f"}


def difference(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> float:
    """Returns the largest difference between the arrays of two checkpoints.

    The differences of an array are divided by its largest absolute value if this value
    is above 1. Arrays of different names: infinity.
    """
    if one.keys() != two.keys():
        return float("inf")
    return max(
        float(np.abs(a - two[name]).max() / max(1.0, np.abs(a).max()))
        for name, a in one.items()
    )


def kills(flags: Processes, backend: str, base: pathlib.Path) -> Iterator[dict]:
    """Yields one row per kill, and one for the comparison with one process."""
    chance = random.Random(flags.seed)
    # At least one more epoch is complete before each kill, so the run must have more
    # epochs than there are kills.
    run = dataclasses.replace(
        SMALL, method="supervised+temporal_ensembling", epochs=3 * flags.kills + 3
    )
    folders = {"killed": flags.processes, "whole": 1}
    runs = {n: dataclasses.replace(run, run_dir=str(base / n)) for n in folders}
    for number in range(flags.kills):
        row = killed(backend, runs["killed"], flags.processes, chance)
        yield {"processes": flags.processes, "kill": number + 1, **row}
    for name, count in folders.items():
        finish(backend, runs[name], count)
    gap = difference(*(_arrays(base / n, run.epochs) for n in ("whole", "killed")))
    yield {"kill": "compared", "epochs": run.epochs, "difference": float(f"{gap:.1e}")}


def identity(flags: Processes, backend: str, base: pathlib.Path) -> Iterator[dict]:
    """Yields one row for each method and each sequence of numbers of processes."""
    colorizer = base / "colorizer.h5"
    words = ["--dataset=drawings", "--image_size=16", "--width=0.03", "--epochs=1"]
    subprocess.run(
        [sys.executable, "-m", "colorization.train", *words, f"--output={colorizer}"],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if not colorizer.exists():
        raise InputError("The colorizer could not be trained.")
    run = dataclasses.replace(
        SMALL, colorizer=str(colorizer), epochs=EPOCHS * len(CHAIN)
    )
    for method in origin.words("methods", flags.methods):
        whole = base / method / "whole"
        for counts in ((1,), (2,), (4,), CHAIN):
            name = " -> ".join(map(str, counts))
            folder = whole if counts == (1,) else base / method / name
            now = dataclasses.replace(run, method=method, run_dir=str(folder))
            changed = []
            for part, count in enumerate(counts[:-1], start=1):
                for process in train_until(backend, now, count, EPOCHS * part):
                    process.kill()
                    process.communicate()
                changed.append(complete_epochs(folder))
            if now.epochs in changed:
                raise InputError("A run was complete before all processes took part.")
            finish(backend, now, counts[-1])
            row = {"method": method, "processes": name, "steps": 2 * now.epochs}
            row["changed_after_epoch"] = " ".join(map(str, changed)) or None
            last = _arrays(folder, now.epochs)
            if folder == whole:
                gap = difference(last, _arrays(folder, now.epochs - 1))
                yield {**row, "change_in_last_epoch": float(f"{gap:.1e}")}
            else:
                gap = difference(last, _arrays(whole, now.epochs))
                yield {**row, "difference": float(f"{gap:.1e}")}


def speed(flags: Processes, backend: str, base: pathlib.Path) -> Iterator[dict]:
    """Yields rows with the training speed for each number of processes.

    The rows form two groups. In the first group each process has a batch of `BATCH`
    images, so the whole batch grows with the number of processes. In the second group
    the whole batch has the same size for every number of processes.
    """
    for fixed in ("batch per process", "batch of all"):
        for count in COUNTS:
            batch = BATCH * (count if fixed == "batch per process" else max(COUNTS))
            folder = base / fixed / str(count)
            run = dataclasses.replace(
                LARGER,
                batch_size=batch,
                labeled_batch=batch,
                unlabeled=batch * STEPS,
                run_dir=str(folder),
            )
            finish(backend, run, count)
            log = pd.read_csv(folder / "log.csv")
            # The first epoch contains the compilation.
            found = float(log["images_per_second"][1:].max())
            row = {"fixed": fixed, "processes": count, "batch": batch}
            yield {**row, "images_per_second": round(found, 1)}


def processes(flags: Processes) -> pd.DataFrame:
    """Runs the measurements, prints each row, and writes the table.

    Returns:
        The table, without the columns of `origin.columns`.

    Raises:
        InputError: A flag is wrong, or a process failed without being killed.
    """
    fields.check(flags)
    path = origin.output_file(flags.output)
    measures: dict[str, Callable] = {
        "kills": kills,
        "identity": identity,
        "speed": speed,
    }
    rows = []
    for backend in origin.words("backends", flags.backends):
        with tempfile.TemporaryDirectory() as base:
            for row in measures[flags.measure](flags, backend, pathlib.Path(base)):
                row = {"backend": backend, **row, "load": round(os.getloadavg()[0], 1)}
                rows.append(row)
                print(row, flush=True)
                table = pd.DataFrame(rows).assign(**origin.columns(flags, ["CPU"]))
                origin.write_csv(table, path)
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(
        processes, Processes, _DESCRIPTION, arguments, needs_keras=False
    )


if __name__ == "__main__":
    raise SystemExit(main())
