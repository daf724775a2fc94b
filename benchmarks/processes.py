"""Kills processes of a distributed run: python -m benchmarks.processes."""

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
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pandas as pd

from benchmarks import origin
from color_s4l import command_line, fields
from color_s4l.errors import InputError
from color_s4l.fields import AtLeast, OneOf, option
from color_s4l.settings import Run

_DESCRIPTION = """Trains a run in several processes on this machine, kills one of them
(SIGKILL) at a random moment, and resumes the run; so many times. Measures how long the
other processes take to stop, and compares the final weights with those of a run in one
process. Prints one row per kill.

  python -m benchmarks.processes --kills=10 --backend=jax
"""
# The others must stop within this time (seconds).
LIMIT = 60.0
# A narrow network on small images, so that a start takes most of the time.
FLAGS = (
    *("--image_size=16", "--labels=20", "--unlabeled=32", "--width=0.03"),
    *("--batch_size=16", "--dropout=0", "--learning_rate=0.01", "--verbosity=2"),
)
_EPOCH = re.compile(r"epoch_(\d+)\.npz")
_GONE = re.compile(r"error: Process (\d+) of .* is gone")


@dataclasses.dataclass(frozen=True)
class Processes:
    """The flags of the command."""

    kills: Annotated[int, AtLeast(0)] = option(10, "Number of kills.")
    processes: Annotated[int, AtLeast(2)] = option(2, "Number of processes.")
    backend: Annotated[str, OneOf("tensorflow", "jax")] = option(
        "tensorflow", "Backend of Keras."
    )
    method: str = option("supervised+temporal_ensembling", "As in color_s4l.train.")
    seed: int = option(1, "Seed of the moments and of the killed processes.")
    output: str = option("kills.csv", "Table with one row per kill.")


def start(flags: Processes, run: Run, count: int) -> list[subprocess.Popen]:
    """Starts the processes of a run on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = []
    for number in range(count):
        if count > 1:
            place = {"num_processes": count, "process_id": number}
            run = dataclasses.replace(
                run, distributed=True, coordinator=address, **place
            )
        words = [*FLAGS, *command_line.spelled(run)]
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "color_s4l.train", *words],
                env={**os.environ, "KERAS_BACKEND": flags.backend},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def complete_epochs(folder: pathlib.Path) -> int:
    """Returns the number of the last checkpoint; 0 if there is none."""
    names = (folder / "checkpoints").glob("*")
    found = [int(m[1]) for p in names if (m := _EPOCH.fullmatch(p.name))]
    return max(found, default=0)


def killed(flags: Processes, run: Run, chance: random.Random) -> dict:
    """Starts a run, kills a process after its next epoch, and watches the others."""
    folder = pathlib.Path(run.run_dir or "")
    before = complete_epochs(folder)
    started = start(flags, run, flags.processes)
    while complete_epochs(folder) == before:
        if any(process.poll() is not None for process in started):
            raise InputError(f"A process ended: {_errors(started)}")
        time.sleep(0.05)
    time.sleep(chance.uniform(0, 3))
    victim = chance.randrange(flags.processes)
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
        "backend": flags.backend,
        "epochs": complete_epochs(folder),
        "killed": victim,
        "seconds": round(time.monotonic() - at, 2),
        "named": all(name == str(victim) for name in named),
        "lines": max(len(text.splitlines()) for text in lines),
    }


def _errors(started: Sequence[subprocess.Popen]) -> str:
    for process in started:
        process.kill()
    return " | ".join(process.communicate()[1].strip() for process in started)


def difference(first: pathlib.Path, second: pathlib.Path) -> float:
    """Returns the largest relative difference of the last checkpoints of two runs."""
    arrays = []
    for folder in (first, second):
        name = f"epoch_{complete_epochs(folder):05d}.npz"
        with np.load(folder / "checkpoints" / name) as stored:
            arrays.append({k: a for k, a in stored.items() if a.dtype.kind == "f"})
    one, two = arrays
    if one.keys() != two.keys():
        return float("inf")
    return max(
        float(np.abs(a - two[name]).max() / max(1.0, np.abs(a).max()))
        for name, a in one.items()
    )


def processes(flags: Processes) -> pd.DataFrame:
    """Kills processes, compares the results, and writes the table.

    Raises:
        InputError: A process ended with another error.
    """
    fields.check(flags)
    path = origin.output_file(flags.output)
    chance, rows = random.Random(flags.seed), []
    with tempfile.TemporaryDirectory() as base:
        whole, folder = pathlib.Path(base) / "whole", pathlib.Path(base) / "killed"
        # An epoch is complete before each kill, perhaps more.
        run = Run(method=flags.method, epochs=3 * flags.kills + 3, resume=True)
        for number in range(flags.kills):
            row = killed(flags, dataclasses.replace(run, run_dir=str(folder)), chance)
            rows.append({"kill": number + 1, **row})
            print(rows[-1], flush=True)
        for target, count in ((folder, flags.processes), (whole, 1)):
            started = start(flags, dataclasses.replace(run, run_dir=str(target)), count)
            texts = [process.communicate()[1] for process in started]
            if any(process.returncode for process in started):
                raise InputError(f"A process failed: {' | '.join(texts)}")
        gap = difference(whole, folder)
    print(f"largest relative difference to one process: {gap:.2g}", flush=True)
    table = pd.DataFrame(rows).assign(difference=gap)
    table.to_csv(path, index=False)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(
        processes, Processes, _DESCRIPTION, arguments, needs_keras=False
    )


if __name__ == "__main__":
    raise SystemExit(main())
