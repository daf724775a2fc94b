"""Learning curves of everything that was logged, the runs over one another."""

from collections.abc import Sequence

import numpy as np

from color_s4l.report import charts
from color_s4l.report.records import Record

# What is no term of the loss and watched by none.
_TRAINING = (
    "learning_rate",
    "images_per_second",
    "loading_images_per_second",
    "loading_busy",
)
# What is looked at first; the rest as logged.
_FIRST = ("test_error", "validation_error", "loss")


def groups(records: Sequence[Record]) -> list[dict]:
    """Charts of all columns of all logs.

    Args:
        records: Of the runs, in their order.

    Returns:
        For each group `name` and `charts`; for each chart `name`, `svg` and `last`:
        (colour, text) of each run's last value.
    """
    logged = [name for record in records for name in record.log]
    names = dict.fromkeys([*(n for n in _FIRST if n in logged), *logged])
    grouped: dict[str, list[dict]] = {}
    for name in names:
        if name != "epoch":
            grouped.setdefault(_group(name), []).append(_chart(name, records))
    order = ("Error rates in %", "The loss, its terms, and what they watch", "Training")
    return [
        {"name": name, "charts": grouped[name]} for name in order if name in grouped
    ]


def _group(name: str) -> str:
    if name.endswith("error"):
        return "Error rates in %"
    if name in _TRAINING:
        return "Training"
    return "The loss, its terms, and what they watch"


def _chart(name: str, records: Sequence[Record]) -> dict:
    series, last, told = [], [], []
    for number, record in enumerate(records):
        if name not in record.log:
            continue
        epochs = record.log["epoch"].to_numpy()
        values = record.log[name].to_numpy(dtype=float)
        series.append((number, epochs, values))
        last.append((number % charts.COLOURS, short(values[-1])))
        told.append(
            f"{record.name}: {short(values[0])} at epoch {epochs[0]}, "
            f"{short(values[-1])} at epoch {epochs[-1]}"
        )
    spelled = name.replace("_", " ")
    svg = charts.lines(spelled, series, f"{spelled} by epoch; {'; '.join(told)}")
    return {"name": spelled, "svg": svg, "last": last}


def short(value: float) -> str:
    """A number for the eye: four digits, thousands marked; "" for none."""
    if not np.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
