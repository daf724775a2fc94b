"""The tables as pictures: error against labels, error against epochs."""

import pathlib

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks import layout
from benchmarks.texts import NAMES
from color_s4l.artifacts.files import write_atomically

# Lines of one column of labels stand side by side: so far apart, within this width.
DODGE, WIDEST = 0.06, 0.5


def errors_by_labels(found: pd.DataFrame, measure: str) -> Figure:
    """One panel for each data set, one line for each method, network and settings.

    Args:
        found: Of `layout.annotated`.
        measure: One of `layout.MEASURES`.

    Returns:
        The figure; the bars are one standard deviation over the seeds.
    """
    datasets = found["dataset"].unique()
    figure = Figure(figsize=(6, 4.4 * len(datasets)))
    panels = figure.subplots(len(datasets), 1, squeeze=False)[:, 0]
    for axis, dataset in zip(panels, datasets, strict=True):
        rows = found[found["dataset"] == dataset]
        _panel(axis, rows, measure)
        title = [NAMES.get(dataset, dataset)]
        if rows["settings"].nunique() == 1:
            title += [rows["settings"].iloc[0]]
        axis.set_title("\n".join(title), loc="left", fontsize=9)
    figure.subplots_adjust(hspace=0.4)
    return figure


def errors_by_epoch(table: pd.DataFrame, column: str) -> Figure:
    """One line for each setting: the mean over its seeds, in a band of one deviation.

    Args:
        table: One row for each run and epoch, with `setting`, `seed`, `epoch`.
        column: What to draw, in percent.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(7, 4.4))
    axis = figure.subplots()
    settings = list(table.groupby("setting", sort=False))
    colors = _colors(len(settings))
    names = _different([runs for _, runs in settings])
    for (_, runs), name, color in zip(settings, names, colors, strict=True):
        epochs = runs.groupby("epoch")[column]
        mean, deviation = epochs.mean(), epochs.std().fillna(0)
        label = f"{name} (n = {runs['seed'].nunique()})"
        axis.plot(mean.index, mean, marker=".", color=color, label=label)
        low, high = mean - deviation, mean + deviation
        axis.fill_between(mean.index, low, high, color=color, alpha=0.2, linewidth=0)
    axis.set_title(_shared([runs for _, runs in settings]), loc="left", fontsize=8)
    axis.set_xlabel("epoch (a pass over the unlabelled images)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_ylabel(f"{column.replace('_', ' ')} in %")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    return figure


_NAMED = ("--dataset=", "--labels=", "--method=", "--network=", "--data_dir=")


def _shared(settings: list[pd.DataFrame]) -> str:
    """What all lines were measured with, beside what each line's name says."""
    first, *others = [runs["setting"].iloc[0].split() for runs in settings]
    words = [word for word in first if all(word in other for other in others)]
    return ", ".join(word[2:] for word in words if not word.startswith(_NAMED))


def _different(settings: list[pd.DataFrame]) -> list[str]:
    """Each line's name: data, method, network, and what not all have in common."""
    lines = [runs["setting"].iloc[0].split() for runs in settings]
    shared = set.intersection(*map(set, lines))
    names = []
    for runs, line in zip(settings, lines, strict=True):
        first = runs.iloc[0]
        count = "all" if pd.isna(first["labels"]) else f"{first['labels']:,.0f}"
        dataset = NAMES.get(first["dataset"], first["dataset"])
        words = [w[2:] for w in line if w not in shared and not w.startswith(_NAMED)]
        start = [f"{dataset}, {count} labels", first["method"], first["network"]]
        names.append(", ".join([*start, *words]))
    return names


def _colors(count: int) -> list:
    """As many colours as lines, different up to twenty."""
    palette = colormaps["tab10" if count <= 10 else "tab20"].colors
    return [palette[number % len(palette)] for number in range(count)]


def _panel(axis, rows: pd.DataFrame, measure: str) -> None:
    counts = sorted(rows["labels"].unique())
    # What learned no classes, as a recipe's first stage, has no error to be drawn.
    drawn = rows.dropna(subset=[measure])
    lines = list(drawn.groupby(named(rows)[drawn.index], sort=False))
    colors = _colors(len(lines))
    reach = min(DODGE * (len(lines) - 1), WIDEST) / 2
    shifts = np.linspace(-reach, reach, len(lines))
    for number, (name, line) in enumerate(lines):
        line = line.sort_values("labels")
        axis.errorbar(
            [counts.index(count) + shifts[number] for count in line["labels"]],
            line[measure],
            yerr=line[f"{measure}_std"].fillna(0),
            marker="o",
            capsize=3,
            color=colors[number],
            label=name,
        )
    axis.set_xticks(range(len(counts)), [f"{count:,}" for count in counts])
    axis.set_xlim(-0.5, len(counts) - 0.5)
    axis.set_xlabel("labels")
    axis.set_ylabel(f"test error in %\n{layout.MEASURES[measure]}")
    axis.grid(axis="y", alpha=0.3)
    if lines:
        axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1))


def named(rows: pd.DataFrame) -> pd.Series:
    """Each row's line in a legend: what distinguishes it, and its number of runs."""
    parts = rows["name"]
    if rows["network"].nunique() > 1:
        parts = parts + ", " + rows["network"]
    if rows["settings"].nunique() > 1:
        parts = parts + "\n" + rows["settings"]
    seeds = rows.groupby(parts)["n"].transform(lambda n: "-".join(_range(n)))
    return parts + " (n = " + seeds + ")"


def _range(numbers: pd.Series) -> list[str]:
    low, high = numbers.min(), numbers.max()
    return [str(low)] if low == high else [str(low), str(high)]


def save(figure: Figure, path: pathlib.Path, origin: dict[str, str]) -> None:
    """Writes a figure as PNG, whole or not at all.

    Args:
        figure: Any.
        path: `*.png`.
        origin: Name -> text; kept in the file's metadata.
    """
    write_atomically(
        path,
        lambda file: figure.savefig(
            file, format="png", dpi=120, bbox_inches="tight", metadata=origin
        ),
    )
