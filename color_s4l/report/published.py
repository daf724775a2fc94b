"""The published numbers: published.csv, with source, table and remarks."""

import functools
from importlib import resources

import pandas as pd

from color_s4l.settings import Run, method_of

FILE = "published.csv"
_TEXTS = ("network", "name", "selection", "source", "table", "remark")


@functools.cache
def _whole() -> pd.DataFrame:
    with resources.files("color_s4l").joinpath(FILE).open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype={"n": "Int64", "epochs": "Int64"})
    valid = table["valid"] == "yes"
    return table.assign(valid=valid).fillna(dict.fromkeys(_TEXTS, ""))


def read() -> pd.DataFrame:
    """Every published number, the invalid ones too.

    Returns:
        One row for each number: `dataset` and `network` by our names (no network: the
        source does not say), `labels` in total, `method` as it is called here, `name`
        as the source calls it, `metric` (error, top5_error), `error` and `std` in
        percent, `n` runs, `epochs`, `selection` (how the epoch was chosen), `source`,
        `table`, `remark`, and `valid`: False where the number must not be compared
        with, for the reason in `remark`.
    """
    return _whole().copy()


def published_method_of(run: Run) -> str:
    """What the papers call what a run trains: SESEMI on labelled images alone is ASL.

    Of a recipe's run it is the recipe's name.
    """
    alone = run.labeled_only and run.recipe is None and run.method == "sesemi"
    return "asl" if alone else method_of(run)


def comparable(dataset: str, labels: int) -> pd.DataFrame:
    """The error rates that a measured one may be compared with.

    Args:
        dataset: As in `--dataset`.
        labels: In total.

    Returns:
        Rows of `read`, valid ones only, in the order of the file.
    """
    table = _whole()
    errors = table["valid"] & (table["metric"] == "error")
    of_these = (table["dataset"] == dataset) & (table["labels"] == labels)
    return table[errors & of_these].copy()
