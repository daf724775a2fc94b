"""The table for reading; the CSV file holds every column."""

from collections.abc import Sequence

import pandas as pd

from color_s4l.errors import InputError

CASE = ["network", "method", "dtype_policy"]
NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
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


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """One line per network, method and precision, the frameworks beside each other.

    Args:
        table: One line per case, of `rows`; each case once.

    Returns:
        Text: images/s and peak memory of every framework, and the fastest of ours as
        a share of PyTorch's, where that was measured.

    Raises:
        InputError: A case stands twice.
    """
    table = table[table["images_per_second"].notna()]
    names = [*CASE, "backend"]
    twice = table.loc[table.duplicated(names), names]
    if len(twice):
        case = " ".join(twice.iloc[0])
        raise InputError(f"Expected each case once; {case} stands twice.")
    backends = [name for name in NAMES if name in set(table["backend"])]
    lines = []
    for case, found in table.groupby(CASE, sort=False):
        found = found.set_index("backend").reindex(backends)
        line = dict(zip(("network", "method", "precision"), case, strict=True))
        for backend, speed in found["images_per_second"].items():
            line[f"{NAMES[backend]}, images/s"] = _known("{:,.1f}", speed)
        ratio = found["ratio_to_torch"].drop("torch", errors="ignore").max()
        line["ours, of PyTorch's"] = _known("{:.2f} x", ratio)
        for backend, memory in found["process_MB"].items():
            line[f"{NAMES[backend]}, MB"] = _known("{:,.0f}", memory)
        lines.append(line)
    return pd.DataFrame(lines)


def _known(form: str, number: float) -> str:
    return "–" if pd.isna(number) else form.format(number)


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
