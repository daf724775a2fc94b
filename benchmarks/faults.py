"""Killed runs and damaged model files: python -m benchmarks.faults."""

import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing
import zipfile
from collections.abc import Iterator, Sequence

import pandas as pd

from benchmarks import origin
from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.fields import option
from color_s4l.settings import Count

_DESCRIPTION = """Kills training runs (SIGKILL) at random moments, resumes them, and
compares the weights with those of an uninterrupted run; opens model files that contain
code, and model files with flipped bits. Each row counts the cases and the failures.

  python -m benchmarks.faults --kills=2 --flips=100
"""
# Settings of every run. The colorizer is trained by the run itself.
_SMALL = (
    *("--image_size=16", "--labels=20", "--unlabeled=32", "--width=0.05"),
    *("--batch_size=16", "--labeled_batch=16", "--verbosity=0", "--deterministic"),
)
# Name -> flags and backend. The runs with `color_s4l` also train a colorizer, and can
# be killed during this training.
CASES = {
    "training": (("--method=color_s4l", "--epochs=2"), "tensorflow"),
    "jax": (("--method=color_s4l", "--epochs=2"), "jax"),
    "recipe": (("--recipe=pseudo_label_retrain", "--epochs=1"), "tensorflow"),
}
_SUFFIXES = (".keras", ".h5")


@dataclasses.dataclass(frozen=True)
class Faults:
    """The flags of the command."""

    cases: str = option(",".join(CASES), "Comma-separated runs that are killed.")
    kills: Count = option(14, "Killed runs of each case.")
    malicious: Count = option(50, "Model files that contain code.")
    flips: Count = option(500, "Model files with flipped bits.")
    seed: int = option(
        1, "Seed of the kill times, the model files and the flipped bits."
    )
    output: str = option("faults.csv", "The table.")


def faults(flags: Faults) -> pd.DataFrame:
    """Counts the failures, and prints and writes the table.

    Returns:
        One row per kind of fault: number of cases, failures, and a remark.

    Raises:
        InputError: A case does not exist, `output` is not the name of a .csv file, or
            an uninterrupted run fails.
    """
    path, chance = origin.output_file(flags.output), random.Random(flags.seed)
    cases = origin.words("cases", flags.cases)
    if set(cases) - set(CASES):
        raise InputError(
            f"Expected `cases` from {', '.join(CASES)}. Received: {flags.cases!r}."
        )
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        rows = [_killed(case, root / case, flags.kills, chance) for case in cases]
        model = root / cases[0] / "whole" / "model.keras"
        rows.append(_malicious(root, model, flags.malicious, chance))
        rows.append(_flipped(root, model, flags.flips, chance))
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    origin.write_csv(table.assign(**origin.columns(flags, ["CPU"])), path)
    return table


def _command(case: str, run_dir: pathlib.Path) -> tuple[list[str], dict[str, str]]:
    words, backend = CASES[case]
    command = [sys.executable, "-m", "color_s4l.train", *_SMALL, *words]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    return [*command, f"--run_dir={run_dir}", "--resume"], environment


def _killed(
    case: str, folder: pathlib.Path, count: int, chance: random.Random
) -> dict[str, typing.Any]:
    """Kills runs at random moments; a failure is a resumed run with other weights."""
    started = time.perf_counter()
    expected = _weights(case, folder / "whole")
    if "error" in expected:
        raise InputError(f"The run {case!r} failed: {expected['error']}")
    seconds, unequal, killed = time.perf_counter() - started, 0, 0
    for number in range(count):
        command, environment = _command(case, folder / str(number))
        run = subprocess.Popen(
            command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            run.wait(chance.uniform(0.2, 1) * seconds)
        except subprocess.TimeoutExpired:
            killed += 1
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        unequal += _weights(case, folder / str(number)) != expected
    remark = f"{killed} of {count} runs were killed before their end"
    return {"fault": f"kill: {case}", "cases": count, "bad": unequal, "remark": remark}


def _weights(case: str, run_dir: pathlib.Path) -> dict[str, str]:
    """Trains to the end; returns the digest of each model's weights.

    If the training fails, the result is `{"error": ...}` with the end of its messages.
    """
    command, environment = _command(case, run_dir)
    run = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8"
    )
    if run.returncode:
        return {"error": run.stderr[-1000:]}
    digests = {}
    for path in sorted(run_dir.rglob("model*.keras")):
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("color_s4l.json"))
        digests[str(path.relative_to(run_dir))] = about["digest"]
    return digests


def _malicious(
    root: pathlib.Path, model: pathlib.Path, count: int, chance: random.Random
) -> dict[str, typing.Any]:
    """Opens models whose configuration names code; a failure is code that ran."""
    marker, ran, opened = root / "marker", 0, 0
    code = f"open({str(marker)!r}, 'w')"
    entries: list[dict] = [
        {"class_name": "Lambda", "config": {"function": code, "name": "a"}},
        {"class_name": "function", "config": "system", "module": "os"},
        {"class_name": "eval", "config": code, "module": "builtins"},
        {"class_name": "TFSMLayer", "config": {"filepath": str(root)}},
        {
            "class_name": "Popen",
            "config": {"args": ["touch", str(marker)]},
            "module": "subprocess",
            "registered_name": "Popen",
        },
    ]
    for _ in range(count):
        path = root / "malicious.keras"
        with zipfile.ZipFile(model) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == "config.json":
                    configuration = json.loads(content)
                    places = list(_places(configuration))
                    holder, key = chance.choice(places)
                    holder[key] = {"module": "keras.layers", **chance.choice(entries)}
                    content = json.dumps(configuration).encode()
                new.writestr(name, content)
        opened += not _opened(path)
        if marker.exists():
            ran += 1
            marker.unlink()
    remark = f"{opened} files were opened: the changed entry is not read"
    return {"fault": "malicious", "cases": count, "bad": ran, "remark": remark}


def _places(value: object) -> Iterator[tuple[typing.Any, typing.Any]]:
    """Yields container and key of every value in a configuration, at any depth."""
    pairs: Sequence[tuple] = ()
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    for key, child in pairs:
        yield value, key
        yield from _places(child)


def _flipped(
    root: pathlib.Path, model: pathlib.Path, count: int, chance: random.Random
) -> dict[str, typing.Any]:
    """Opens models with flipped bits; a failure is an error other than InputError."""
    unexpected, refused = 0, 0
    for number in range(count):
        suffix = _SUFFIXES[number % 2]
        path = root / f"flipped{suffix}"
        shutil.copy(model.with_suffix(suffix), path)
        content = bytearray(path.read_bytes())
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        reason = _opened(path)
        refused += reason == "refused"
        unexpected += reason not in ("", "refused")
    remark = f"{refused} files were refused in one line"
    return {"fault": "bits", "cases": count, "bad": unexpected, "remark": remark}


def _opened(path: pathlib.Path) -> str:
    """Opens a model file; returns "", "refused" or the type of another exception."""
    from color_s4l.artifacts import models

    try:
        models.load(path)
    except InputError:
        return "refused"
    except Exception as error:
        return type(error).__name__
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(faults, Faults, _DESCRIPTION, arguments)


if __name__ == "__main__":
    sys.exit(main())
