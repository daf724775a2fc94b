"""Run folders -> one row per run -> mean and standard deviation over seeds."""

import dataclasses
import functools
import os
import pathlib
import shlex
from collections.abc import Iterable, Iterator

import pandas as pd

from color_s4l import command_line
from color_s4l.artifacts import provenance
from color_s4l.artifacts.run_directory import RunFolder, read_config, read_result
from color_s4l.errors import InputError
from color_s4l.settings import Run, method_of
from color_s4l.training import identity

# Settings that have a column of their own; the column `command` holds them all.
SETTINGS = [
    "dataset",
    "labels",
    "unlabeled",
    "network",
    "width",
    "method",
    "epochs",
    "batch_size",
]
MEASURES = ("error", "error_augmented", "averaged_error", "best_error")
# What must be equal, beside the command, for two runs to be repetitions.
_REPETITION = ["labels", "unlabeled", "test_images", "colorizer", "backend", "stage"]
_MODULE = "color_s4l.train"


def rows(paths: Iterable[str | os.PathLike], *, stages: bool = False) -> pd.DataFrame:
    """One row per finished run, with everything that its numbers depend on.

    Args:
        paths: Run folders.
        stages: Also a row for each stage of a recipe: a folder in the run's own that
            holds a result. The column `stage` names it, `method` is its own, and
            `command` that of the whole.

    Returns:
        Settings, `seed`, error rates in percent, speed, and the origin: command,
        versions, hardware, date. The command names files without their folders,
        which are another machine's.

    Raises:
        InputError: A folder is no finished run.
    """
    folders = [RunFolder(pathlib.Path(path)) for path in paths]
    return pd.DataFrame([one for f in folders for one in _rows_of(f, stages)])


def _rows_of(folder: RunFolder, stages: bool) -> Iterator[dict]:
    config = read_config(folder)
    result = read_result(folder)
    whole = row(config, result)
    yield whole
    for name in [one["stage"] for one in result.get("stages", ())] if stages else ():
        stage = RunFolder(folder.path / name)
        own = row(read_config(stage), read_result(stage))
        # What does a stage again is the command of the whole, on its images.
        of_the_whole = {part: whole[part] for part in ("unlabeled", "command")}
        yield {**own, "stage": name, **of_the_whole}


def begun(path: str | os.PathLike) -> dict:
    """What is known of a run before it is finished, as columns.

    Args:
        path: A run folder.

    Returns:
        Settings, `seed`, `setting` (equal for runs that differ by their seed only),
        and the provenance.

    Raises:
        InputError: It is no run's folder.
    """
    config = read_config(RunFolder(pathlib.Path(path)))
    run = run_of_config(config)
    about = {name: getattr(run, name) for name in SETTINGS}
    about["method"] = method_of(run)
    return {**about, "seed": run.seed, "setting": _setting(run), **_origin(config, run)}


def _origin(config: dict, run: Run) -> dict:
    versions = [f"{name} {version}" for name, version in config["versions"].items()]
    return {
        "hardware": config["hardware"],
        "versions": ", ".join(versions),
        "command": command_line.command(_MODULE, run),
        "date": config["date"],
    }


def row(config: dict, result: dict) -> dict:
    """One run's columns of `rows`.

    Args:
        config: Of its config.json.
        result: Of its result.json.
    """
    run = run_of_config(config)
    return {
        **{name: getattr(run, name) for name in SETTINGS},
        "method": method_of(run),
        "labels": result["labels"],
        "unlabeled": _unlabeled(result),
        "stage": None,
        "seed": run.seed,
        "error": result["error"],
        "error_augmented": result["error_augmented"],
        "averaged_error": _averaged(result),
        "best_error": result.get("best", {}).get("error"),
        "best_note": result.get("best", {}).get("note"),
        "test_images": result["test_images"],
        "parameters": result["parameters"],
        "images_per_second": round(result["images_per_second"], 1),
        "colorizer": result.get("colorizer"),
        "backend": config["backend"],
        "dtype_policy": run.dtype_policy,
        **_origin(config, run),
    }


def _unlabeled(result: dict) -> int:
    """Images without labels; of a recipe as asked for, which its first stage has.

    A later stage may draw of them, or add the labelled ones that were not among them:
    how many those are is chance, and differs from seed to seed.
    """
    return result.get("stages", [result])[0]["unlabeled"]


def _averaged(result: dict) -> float | None:
    """The error with a teacher's or an average's weights: of several, the first."""
    further = [errors["error"] for errors in result.get("further", {}).values()]
    return further[0] if further else None


def run_of_config(config: dict) -> Run:
    """The run of a config.json, without what is the machine's.

    Args:
        config: Of `run_folder.read_config`.
    """
    known = {field.name for field in dataclasses.fields(Run)}
    values = identity.values_of(config)
    values = {name: value for name, value in values.items() if name in known}
    several = {name: tuple(values[name]) for name in ("set", "stage")}
    run = Run(**{**values, **several})
    return provenance.portable(
        dataclasses.replace(run, run_dir=None, resume=False, verbosity=Run.verbosity)
    )


@functools.lru_cache(maxsize=4096)
def run_of(command: str) -> Run:
    """The run that a row's command starts.

    Args:
        command: As in the column `command`.

    Raises:
        InputError: It is no command of `color_s4l.train`.
    """
    *start, module = (words := shlex.split(command))[:3]
    if start != ["python", "-m"] or module != _MODULE:
        raise InputError(f"Expected a command of {_MODULE}. Received: {command!r}.")
    return command_line.parse(Run, words[3:], "")


def repetitions(table: pd.DataFrame) -> pd.Series:
    """What runs that differ by nothing but their seed have in common.

    Args:
        table: Of `rows`.

    Returns:
        A key for each row; equal for repetitions of one another.
    """
    plain = [_setting(run_of(command)) for command in table["command"]]
    own = table.reindex(columns=_REPETITION).astype(object).fillna("")
    return pd.Series(plain, table.index).str.cat(own.astype(str), sep="|")


def _setting(run: Run) -> str:
    """A run in words, without its seed and what makes no difference."""
    # The colorizer has a column that says what it was trained on.
    names = (*identity.FREE, *identity.ROUNDING, "seed", "colorizer")
    free = {name: getattr(Run(), name) for name in names}
    return " ".join(command_line.spelled(dataclasses.replace(run, **free)))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation of the error rates over the seeds.

    Args:
        table: Of `rows`; measures that older files lack may be missing.

    Returns:
        One row for each setting: what its runs share, `n` (runs), `seeds`, and
        every one of `MEASURES` with `..._std`, the sample standard
        deviation (n - 1 in the denominator), missing for one run. A measure that one
        of the n runs lacks is missing. Different versions, dates and machines are
        listed.
    """
    missing = [name for name in MEASURES if name not in table]
    table = table.assign(**dict.fromkeys(missing))
    groups = table.groupby(repetitions(table), sort=False)
    return pd.DataFrame([_of_group(group) for _, group in groups])


def _of_group(group: pd.DataFrame) -> pd.Series:
    first = group.iloc[0].drop([*MEASURES, "seed", "best_note"], errors="ignore")
    for name in ("hardware", "versions", "date"):
        first[name] = "; ".join(group[name].unique())
    spread = {}
    for name in MEASURES:
        values = group[name].astype(float)
        spread[name] = values.mean(skipna=False)
        spread[f"{name}_std"] = values.std(skipna=False)
    seeds = ",".join(str(seed) for seed in group["seed"])
    return pd.Series({**first, "n": len(group), "seeds": seeds, **spread})


def spread(mean: float, deviation: float | None, n: int | None = None) -> str:
    """Text such as "12.34 ± 0.56 (4)"; what is missing is left out, no mean is –."""
    if pd.isna(mean):
        return "–"
    text = f"{mean:.2f}"
    if deviation is not None and not pd.isna(deviation):
        text += f" ± {deviation:.2f}"
    return text if n is None or pd.isna(n) else f"{text} ({n:.0f})"
