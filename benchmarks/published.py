"""The published numbers: color_s4l/published.csv, with source, table and remarks.

The file stands in the package, where the report finds it once installed; the one here
is a link to it.
"""

import functools
from importlib import resources

import pandas as pd

from color_s4l.config import Run

FILE = "published.csv"
# Of the data sets that the tables are about.
TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "svhn_cropped": 73_257}
TEST_IMAGES = {"cifar10": 10_000, "cifar100": 10_000, "svhn_cropped": 26_032}


@functools.cache
def _whole() -> pd.DataFrame:
    with resources.files("color_s4l").joinpath(FILE).open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype={"n": "Int64", "epochs": "Int64"})
    texts = ["network", "name", "selection", "source", "table", "remark"]
    return table.assign(valid=table["valid"] == "yes").fillna(dict.fromkeys(texts, ""))


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


def method_of(run: Run) -> str:
    """What the papers call a run's method: SESEMI on labelled images alone is ASL."""
    return "asl" if run.labeled_only and run.method == "sesemi" else run.method


def beside(dataset: str, labels: int, method: str, network: str) -> pd.DataFrame:
    """The numbers that a measured one may be compared with.

    Args:
        dataset: As in `--dataset`.
        labels: In total.
        method: Of `method_of`.
        network: As in `--network`; rows that name none are taken too.

    Returns:
        Rows of `read`, valid ones only, in the order of the file.
    """
    table = _whole()
    return table[
        table["valid"]
        & (table["metric"] == "error")
        & (table["dataset"] == dataset)
        & (table["labels"] == labels)
        & (table["method"] == method)
        & table["network"].isin([network, ""])
    ].copy()
