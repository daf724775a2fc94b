"""The table for reading; the CSV file holds every column."""

from collections.abc import Sequence

import pandas as pd

SHOWN = {
    "network": "network",
    "method": "method",
    "dtype_policy": "precision",
    "backend": "framework",
    "images_per_second": "images/s",
    "ratio_to_torch": "images/s, of PyTorch's",
    "speed_to_supervised": "images/s, of supervised's",
    "step_to_supervised": "step time, of supervised's",
    "process_MB": "peak MB",
    "device_MB": "peak device MB",
    "memory_to_supervised": "peak, of supervised's",
    "data": "data %",
    "views": "views %",
    "gradient": "forward, backward %",
    "rest": "update, rest %",
    "remark": "remark",
}
NOTE = """`images/s` counts labelled images and views that go through the trunk. Medians
of n measurements; rows of one network, method and precision alternate.
"""
ORIGIN = (
    "width",
    "batch_size",
    "labeled_batch",
    "image_size",
    "steps",
    "n",
    "hardware",
    "versions",
    "date",
    "command",
)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The columns for reading, without those that are empty.

    Args:
        table: One line per case, of `rows`.
    """
    names = [
        name
        for name in SHOWN
        if name in table and table[name].astype(object).fillna("").ne("").any()
    ]
    return table[names].rename(columns=SHOWN)


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table with its origin below.

    Args:
        table: One line per case, of `rows`.
    """
    readable = shown(table)
    lines = [_line(readable.columns), _line(["---"] * len(readable.columns))]
    lines += [_line(values) for values in readable.itertuples(index=False)]
    facts = [
        f"* {name}: {', '.join(str(value) for value in table[name].dropna().unique())}"
        for name in ORIGIN
        if name in table
    ]
    return "\n".join([*lines, "", NOTE, "", *facts, ""])


def _line(values: Sequence) -> str:
    words = ("" if pd.isna(value) else str(value) for value in values)
    return f"| {' | '.join(words)} |"
