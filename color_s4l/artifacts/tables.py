"""Tables of runs: one row per run, or means and standard deviations over the seeds."""

import json
import os
import pathlib
import typing
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from color_s4l import settings as run_settings
from color_s4l.artifacts.run_directory import (
    Config,
    Result,
    RunDirectory,
    method_of,
    read_config,
    read_result,
)

# Settings that have their own column, in addition to the column `settings`.
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
# The method that all other methods are compared with.
PROBE = "probe"
MEASURES = (
    *("error", "error_augmented", "top5_error"),
    *("averaged_error", "best_error"),
)
# Columns that must be equal, besides the settings, in all repetitions of a run.
_REPETITION = [
    *("dataset", "labels", "unlabeled", "test_images"),
    *("colorizer", "backend", "stage"),
]


def rows(paths: Iterable[str | os.PathLike], *, stages: bool = False) -> pd.DataFrame:
    """Returns one row per finished run, with everything that its results depend on.

    Args:
        paths: Run directories.
        stages: Whether to add one row for each stage of a recipe. In these rows, the
            columns `stage` and `method` hold the stage's name and method.

    Returns:
        A table with the columns of `row`.

    Raises:
        InputError: A directory does not hold a finished run.
    """
    directories = [RunDirectory(pathlib.Path(path)) for path in paths]
    return pd.DataFrame([one for d in directories for one in _rows_of(d, stages)])


def _rows_of(directory: RunDirectory, stages: bool) -> Iterator[dict]:
    config = read_config(directory)
    result = read_result(directory)
    whole = row(config, result)
    yield whole
    for name in [one["stage"] for one in result.get("stages", ())] if stages else ():
        stage = RunDirectory(directory.path / name)
        own = row(read_config(stage), read_result(stage))
        # `repetitions` must group stages in the same way as their recipes, so stages
        # have the recipe's values in these two columns.
        shared = {part: whole[part] for part in ("unlabeled", "settings")}
        yield {**own, "stage": name, **shared}


def row(config: Config, result: Result) -> dict[str, typing.Any]:
    """Returns the row of one run.

    Args:
        config: Content of config.json.
        result: Content of result.json.

    Returns:
        The settings in `SETTINGS` (`dataset` is `settings.dataset_name`), `stage`,
        `seed`, `error`, `error_augmented`, `top5_error`, `averaged_error` (of a teacher
        or of averaged weights), `best_error` and `best_note`, `test_images`,
        `parameters`, `images_per_second`, `seconds`, `colorizer`, `backend`,
        `dtype_policy`, `hardware`, `versions`, `date` and `settings`: the resolved
        settings as JSON text (`settings_text`).
    """
    settings = config["settings"]
    return {
        **{name: settings.get(name) for name in SETTINGS},
        "dataset": run_settings.dataset_name(settings),
        "method": method_of(settings),
        "labels": result["labels"],
        "unlabeled": _unlabeled(result),
        "stage": None,
        "seed": settings["seed"],
        "error": result["error"],
        "error_augmented": result["error_augmented"],
        "top5_error": result.get("top5_error"),
        "averaged_error": _averaged(result),
        "best_error": result.get("best", {}).get("error"),
        "best_note": result.get("best", {}).get("note"),
        "test_images": result["test_images"],
        "parameters": result["parameters"],
        "images_per_second": round(result["images_per_second"], 1),
        "seconds": round(result["seconds"], 1),
        "colorizer": result.get("colorizer"),
        "backend": config["backend"],
        "dtype_policy": settings["dtype_policy"],
        "hardware": config["hardware"],
        "versions": versions_text(config["versions"]),
        "date": config["date"],
        "settings": settings_text(settings),
    }


def versions_text(versions: Mapping[str, str]) -> str:
    """Returns versions as one line: "python 3.11.7, keras 3.15.1, ..."."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def settings_text(values: Mapping[str, typing.Any]) -> str:
    """Returns the result of `settings.portable` as JSON text with sorted keys."""
    portable = run_settings.portable(values)
    return json.dumps(portable, sort_keys=True, ensure_ascii=False)


def _unlabeled(result: Result) -> int:
    """Returns the number of unlabelled images of a run, or of a recipe's first stage.

    In a later stage the number differs between seeds, because labelled images that were
    not among the unlabelled images are added.
    """
    return result.get("stages", [result])[0]["unlabeled"]


def _averaged(result: Result) -> float | None:
    """Returns the error of a teacher or of averaged weights, or None."""
    further = [errors["error"] for errors in result.get("further", {}).values()]
    return further[0] if further else None


def repetitions(table: pd.DataFrame) -> pd.Series:
    """Returns a key for each row, equal for runs that differ only by their seed.

    Settings that change the result only by rounding are ignored (`settings.ROUNDING`).

    Args:
        table: Result of `rows`, or the same table read from a CSV file.
    """
    # The column `colorizer` describes the colorizer; the setting is only a file name.
    ignored = {*run_settings.ROUNDING, "seed", "colorizer"}
    plain = []
    for text in table["settings"]:
        values = json.loads(text)
        # With `minutes`, the number of epochs depends on the speed of the machine.
        own = ignored | ({"epochs"} if values.get("minutes") else set())
        plain.append(json.dumps({k: v for k, v in values.items() if k not in own}))
    own = table.reindex(columns=_REPETITION).astype(object).fillna("")
    return pd.Series(plain, table.index).str.cat(own.astype(str), sep="|")


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the mean and standard deviation of the error rates over the seeds.

    Args:
        table: Result of `rows`; columns of `MEASURES` may be missing.

    Returns:
        One row per group of repetitions: `n` (number of runs), `seeds`, and for each of
        `MEASURES` the mean and `..._std`, the sample standard deviation (n - 1 in the
        denominator; missing for one run). A mean is missing if one of the runs has no
        value. `seconds` is a mean too; `hardware`, `versions` and `date` list all
        values of the runs. The other columns have the values of the first run.
    """
    missing = [name for name in MEASURES if name not in table]
    table = table.assign(**dict.fromkeys(missing))
    groups = table.groupby(repetitions(table), sort=False)
    return pd.DataFrame([_of_group(group) for _, group in groups])


def _of_group(group: pd.DataFrame) -> pd.Series:
    first = group.iloc[0].drop([*MEASURES, "seed", "best_note"], errors="ignore")
    for name in ("hardware", "versions", "date"):
        first[name] = "; ".join(group[name].unique())
    if "seconds" in group:
        first["seconds"] = group["seconds"].mean()
    spread = {}
    for name in MEASURES:
        values = group[name].astype(float)
        spread[name] = values.mean(skipna=False)
        spread[f"{name}_std"] = values.std(skipna=False)
    seeds = ",".join(str(seed) for seed in group["seed"])
    return pd.Series({**first, "n": len(group), "seeds": seeds, **spread})


def won_by_probe(table: pd.DataFrame) -> list[str]:
    """Returns a sentence for each group of runs in which a probe has the lowest error.

    Args:
        table: Result of `rows`. A group has one data set and one number of labels.
    """
    sentences = []
    means = summary(table).astype({"error": float}).dropna(subset=["error"])
    for (dataset, labels), group in means.groupby(["dataset", "labels"], sort=False):
        is_probe = group["method"] == PROBE
        probe, others = group[is_probe]["error"], group[~is_probe]["error"]
        if len(probe) and len(others) and probe.min() < others.min():
            best = group.loc[others.idxmin(), "method"]
            sentences.append(
                f"The probe wins on {dataset} with {labels:,} labels: frozen features "
                f"and logistic regression have {probe.min():.2f} % error, and the best "
                f"other method ({best}) has {others.min():.2f} %."
            )
    return sentences


def spread(mean: float, deviation: float | None, n: int | None = None) -> str:
    """Returns text such as "12.34 ± 0.56 (4)"; missing parts are left out.

    Args:
        mean: The mean; missing gives "–".
        deviation: The standard deviation.
        n: The number of runs.
    """
    if pd.isna(mean):
        return "–"
    text = f"{mean:.2f}"
    if deviation is not None and not pd.isna(deviation):
        text += f" ± {deviation:.2f}"
    return text if n is None or pd.isna(n) else f"{text} ({n:.0f})"
