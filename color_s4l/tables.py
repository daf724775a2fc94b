"""Run folders -> rows -> mean and standard deviation over seeds."""

import os
import pathlib
from collections.abc import Iterable

import pandas as pd

from color_s4l.training.run_folder import RunFolder, read_config, read_result

# What must be equal for two runs to be repetitions of one another.
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


def rows(paths: Iterable[str | os.PathLike]) -> pd.DataFrame:
    """One row per finished run, with everything that its numbers depend on.

    Args:
        paths: Run folders.

    Returns:
        Settings, `seed`, error rates in percent, speed, and the origin: command,
        versions, hardware, date.

    Raises:
        InputError: A folder is no finished run.
    """
    return pd.DataFrame([_row(RunFolder(pathlib.Path(path))) for path in paths])


def _row(folder: RunFolder) -> dict:
    config, result = read_config(folder), read_result(folder)
    run = config["run"]
    versions = [f"{name} {version}" for name, version in config["versions"].items()]
    return {
        **{name: run[name] for name in SETTINGS if name in run},
        "labels": result["labels"],
        "unlabeled": result["unlabeled"],
        "seed": run["seed"],
        "error": result["error"],
        "error_augmented": result["error_augmented"],
        "best_error": result["best"]["error"],
        "best_note": result["best"]["note"],
        "test_images": result["test_images"],
        "parameters": result["parameters"],
        "images_per_second": round(result["images_per_second"], 1),
        "colorizer": result.get("colorizer"),
        "backend": config["backend"],
        "dtype_policy": run["dtype_policy"],
        "hardware": config["hardware"],
        "versions": ", ".join(versions),
        "command": config["command"],
        "date": config["date"],
    }


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation of the error rates over the seeds.

    Args:
        table: Of `rows`.

    Returns:
        One row per setting: the settings, `n` (runs), and `error` and
        `error_augmented` as text, "12.34 ± 0.56"; one run has no deviation.
    """
    groups = table.groupby(SETTINGS, sort=False, dropna=False)
    columns = {name: groups[name].agg(_spread) for name in ("error", "error_augmented")}
    return pd.DataFrame({"n": groups.size(), **columns}).reset_index()


def _spread(errors: pd.Series) -> str:
    """Mean ± sample standard deviation (n - 1 in the denominator)."""
    if len(errors) == 1:
        return f"{errors.iloc[0]:.2f}"
    return f"{errors.mean():.2f} ± {errors.std():.2f}"


def text(table: pd.DataFrame) -> str:
    """A summary for the terminal, without the settings that all rows share."""
    varying = [
        name for name in table if name not in SETTINGS or table[name].nunique() > 1
    ]
    shown = table[varying if "method" in varying else ["method", *varying]]
    return shown.to_string(index=False)
