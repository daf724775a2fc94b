"""Published error rates (color_s4l/published.csv), and their table in a report."""

import functools
import typing
from collections.abc import Mapping, Sequence
from importlib import resources

import pandas as pd

from color_s4l.artifacts.run_directory import method_of
from color_s4l.report.records import Record

FILE = "published.csv"
# The metric of error rates with test-time augmentation. SESEMI's code, on which
# Color-S4L is based, measures no other error.
AUGMENTED = "error_augmented"
_TEXTS = ("network", "name", "selection", "source", "table", "remark")


@functools.cache
def _all_rows() -> pd.DataFrame:
    with resources.files("color_s4l").joinpath(FILE).open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype={"n": "Int64", "epochs": "Int64"})
    valid = table["valid"] == "yes"
    return table.assign(valid=valid).fillna(dict.fromkeys(_TEXTS, ""))


def read() -> pd.DataFrame:
    """Returns every published number, including the invalid ones.

    Returns:
        One row per number: `dataset` and `network`, named as in this library (network
        "": the source does not name it); `labels` in total; `method`, named as in this
        library; `name` of the method in the source; `metric`: error, error_augmented
        (with test-time augmentation) or top5_error; `error` and `std` in percent; `n`
        runs; `epochs`; `selection` (how the epoch was chosen); `source`, `table`,
        `remark`; and `valid`: False if the number must not be compared with others, for
        the reason in `remark`.
    """
    return _all_rows().copy()


def comparable(dataset: str, labels: int) -> pd.DataFrame:
    """Returns the published error rates that a measured error may be compared with.

    Args:
        dataset: Name of the data set, as in `Run`.
        labels: Total number of labelled images.

    Returns:
        The valid rows of `read` for this data set and number of labels, without top-5
        errors, in the order of the file.
    """
    table = _all_rows()
    errors = table["valid"] & table["metric"].isin(["error", AUGMENTED])
    same = (table["dataset"] == dataset) & (table["labels"] == labels)
    return table[errors & same].copy()


def published_method_of(settings: Mapping[str, typing.Any]) -> str:
    """Returns the name of a run's method in published.csv.

    A run of a recipe has the recipe's name. SESEMI with `labeled_only` is called ASL.

    Args:
        settings: Fields of `Run` in JSON types, as in config.json and result tables.
    """
    method = method_of(settings)
    return "asl" if method == "sesemi" and settings["labeled_only"] else method


def tables(records: Sequence[Record]) -> list[dict]:
    """Returns published errors together with the errors of the runs.

    Args:
        records: The runs.

    Returns:
        For each data set and number of labels for which numbers are published:
        `dataset`, `labels` and `rows`, lowest error first. Each row has `name`,
        `error`, `network`, `epochs`, `n`, `selection`, `source`, and two bools: `ours`
        (the row is a run of this report) and `same` (a run has the same method).
    """
    grouped: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        key = record.config["run"]["dataset"], record.result["labels"]
        grouped.setdefault(key, []).append(record)
    found = []
    for (dataset, labels), ours in grouped.items():
        published = comparable(dataset, labels)
        if len(published):
            methods = {published_method_of(record.config["run"]) for record in ours}
            rows = [
                _published_row(row, methods) for row in published.to_dict("records")
            ]
            rows += [_own_row(record) for record in ours]
            rows.sort(key=lambda row: row["order"])
            found.append({"dataset": dataset, "labels": f"{labels:,}", "rows": rows})
    return found


def _published_row(row: dict, methods: set[str]) -> dict:
    deviation = "" if pd.isna(row["std"]) else f" ± {row['std']:.2f}"
    source = ", ".join(row[name] for name in ("source", "table", "remark") if row[name])
    return {
        "order": row["error"],
        "name": row["name"],
        "error": f"{row['error']:.2f}{deviation}{augmented(row['metric'])}",
        "network": row["network"],
        "epochs": _integer(row["epochs"]),
        "n": _integer(row["n"]),
        "selection": row["selection"],
        "source": source,
        "ours": False,
        "same": row["method"] in methods,
    }


def augmented(metric: str) -> str:
    """Returns a note for an error rate with test-time augmentation, else ""."""
    return " (augmented)" if metric == AUGMENTED else ""


def _integer(value: typing.Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def _own_row(record: Record) -> dict:
    run, result = record.config["run"], record.result
    return {
        "order": result["error"],
        "name": record.name,
        "error": f"{result['error']:.2f} ({result['error_augmented']:.2f} augmented)",
        "network": f"{run['network']}, width {run['width']:g}",
        "epochs": f"{run['epochs']:,}",
        "n": "1",
        "selection": "last",
        "source": f"this page; {record.method}, {result['unlabeled']:,} unlabelled",
        "ours": True,
        "same": True,
    }
