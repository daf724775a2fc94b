"""Mean error rates over the seeds, with the published numbers beside them."""

import functools
import json
import pathlib
import typing
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from benchmarks import origin
from color_s4l import command_line, settings
from color_s4l.artifacts import tables
from color_s4l.artifacts.files import write_atomically
from color_s4l.settings import Run

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "flags"
SIDE = 32  # pixels of CIFAR and SVHN images
CAPTION = (
    "Test error in % after the last epoch, mean ± standard deviation over the seeds "
    "(number of runs). augmented: with test-time augmentation; averaged: with the "
    "teacher's or the averaged weights; best: best epoch, selected on the test set."
)
_MEASURES = {
    "error": "error",
    "error_augmented": "augmented",
    "top5_error": "top-5",
    "averaged_error": "averaged",
    "best_error": "best",
}
# Settings that the other columns show, or that do not affect the result.
_SHOWN = {"dataset", "labels", "method", "recipe", "network", "seed", "plugins"}
_IGNORED = (
    _SHOWN | settings.FREE | settings.ROUNDING | settings.PATHS | settings.CONTENTS
)


def annotated(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns means and standard deviations, one row per group of equal settings.

    Args:
        rows: One row per run, as `color_s4l.artifacts.tables.rows` returns them.

    Returns:
        `tables.summary` with the columns `name` (of the method or recipe), `published`
        (the published error rates) and `differs` (the result of `differences`).
    """
    found = tables.summary(rows)
    values = [json.loads(text) for text in found["settings"]]
    labels = found["labels"]
    return found.assign(
        name=[_name(row) for _, row in found.iterrows()],
        published=[published(v, n) for v, n in zip(values, labels, strict=True)],
        differs=["; ".join(differences(one)) for one in values],
    )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns `annotated` as a table for reading; empty columns are left out."""
    lines = []
    for _, row in annotated(rows).iterrows():
        numbers = {
            name: tables.spread(row[column], row[f"{column}_std"], row["n"])
            for column, name in _MEASURES.items()
        }
        first = {"data set": row["dataset"], "labels": f"{row['labels']:,}"}
        first |= {"method": row["name"], "network": _network(row)}
        lines.append({**first, **numbers, **row[["published", "differs"]]})
    shown = pd.DataFrame(lines)
    return shown.loc[:, ~shown.isin(["–", ""]).all()]


def _network(row: pd.Series) -> str:
    """Returns the name of the trunk and, if it has any, of its initial weights."""
    source = json.loads(row["settings"]).get("init_from")
    return f"{row['network']} ({source})" if source else row["network"]


def _name(row: pd.Series) -> str:
    """Returns the name of the method, or of the recipe and, for a stage, the stage."""
    recipe, stage = json.loads(row["settings"])["recipe"], row.get("stage")
    if isinstance(stage, str):
        return f"recipe {recipe}, {stage}"
    return f"recipe {recipe}" if recipe else row["method"]


def published(values: Mapping[str, typing.Any], labels: int) -> str:
    """Returns the published error rates of a method with this network and labels.

    Args:
        values: The settings of a run in JSON types.
        labels: Number of labelled images.
    """
    from color_s4l.report.published import augmented, comparable, published_method_of

    table = comparable(values["dataset"], labels)
    table = table[
        (table["method"] == published_method_of(values))
        & (table["network"] == values["network"])
    ]
    numbers = [
        f"{tables.spread(row['error'], row['std'], row['n'])}"
        f"{augmented(row['metric'])} {row['source']}"
        + ("" if pd.isna(row["epochs"]) else f", {row['epochs']} epochs")
        for _, row in table.iterrows()
    ]
    return "; ".join(numbers)


def differences(values: Mapping[str, typing.Any]) -> list[str]:
    """Returns the settings in which a run differs from the closest flagfile in flags/.

    Args:
        values: The resolved settings of the run in JSON types.

    Returns:
        Texts such as "epochs 4 (published: 30)". If there is no flagfile for the data
        set and method, they are the differences from the defaults of the library.
    """
    from color_s4l.report.published import published_method_of

    method, word = published_method_of(values), "published"
    candidates = [
        reference
        for reference in references()
        if reference["dataset"] == values["dataset"]
        and published_method_of(reference) == method
    ]
    if not candidates:
        defaults = settings.to_json(Run())
        known = {name: value for name, value in defaults.items() if value is not None}
        candidates, word = [{**values, **known}], "default"
    different = [
        [
            f"{name} {_text(values[name])} ({word}: {_text(reference.get(name))})"
            for name in values
            if name not in _IGNORED and values[name] != reference.get(name)
        ]
        for reference in candidates
    ]
    return min(different, key=len)


def _text(value: typing.Any) -> str:
    if isinstance(value, list):
        return " ".join(value) or "none"
    return "default" if value is None else str(value)


@functools.cache
def references() -> tuple[dict[str, typing.Any], ...]:
    """Returns the resolved settings of the flagfiles in flags/ that have no recipe."""
    paths = sorted(FLAGS.rglob("*.cfg"))
    return tuple(reference(path) for path in paths if _run(path).recipe is None)


def reference(path: pathlib.Path) -> dict[str, typing.Any]:
    """Returns the resolved settings of a flagfile in JSON types."""
    from color_s4l.training import session

    run = _run(path)
    return dict(session.resolve(run, session.checked_terms(run), SIDE).values)


def _run(path: pathlib.Path) -> Run:
    return command_line.parse(Run, [f"--flagfile={path}"], "")


def write(rows: pd.DataFrame, path: pathlib.Path) -> str:
    """Writes the rows as CSV, and their summary as Markdown, LaTeX and PNG.

    Args:
        rows: One row per run.
        path: Path of the CSV file; the other files only differ in their endings.

    Returns:
        The Markdown text.
    """
    origin.write_csv(rows, path)
    shown = summary(rows)
    facts = {
        name: "; ".join(rows[name].dropna().astype(str).unique())
        for name in ("seed", "backend", "colorizer", "hardware", "versions", "date")
        if name in rows and rows[name].notna().any()
    }
    text = shown.to_markdown(index=False, disable_numparse=True)
    probe = [f"**{sentence}**\n" for sentence in tables.won_by_probe(rows)]
    lines = ["# Error rates", "", *probe, CAPTION, "", text, ""]
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    markdown = "\n".join(lines) + "\n"
    origin.write_text(path.with_suffix(".md"), markdown)
    styler = shown.style.hide(axis="index").format(escape="latex")
    styler = styler.format_index(escape="latex", axis="columns")
    latex = styler.to_latex(hrules=True, caption=CAPTION.replace("%", r"\%"))
    comments = "".join(f"% {name}: {value}\n" for name, value in facts.items())
    origin.write_text(path.with_suffix(".tex"), comments + latex)
    image = plot(rows)
    write_atomically(
        path.with_suffix(".png"),
        lambda file: image.savefig(file, dpi=120, bbox_inches="tight", metadata=facts),
    )
    return markdown


def plot(rows: pd.DataFrame) -> Figure:
    """Returns a plot of the mean error against the number of labels.

    One panel per data set, one line for each method, network and group of equal
    settings; the bars are one standard deviation over the seeds.

    Args:
        rows: One row per run.
    """
    found = annotated(rows).dropna(subset=["error"])
    datasets = list(found.groupby("dataset", sort=False))
    figure = Figure(figsize=(6, 4 * max(1, len(datasets))))
    panels = figure.subplots(max(1, len(datasets)), 1, squeeze=False)[:, 0]
    for axis, (dataset, panel) in zip(panels, datasets, strict=False):
        counts = sorted(panel["labels"].unique())
        varying = ["name"] + [
            column for column in ("network", "differs") if panel[column].nunique() > 1
        ]
        for names, line in panel.groupby(varying, sort=False):
            line = line.sort_values("labels")
            axis.errorbar(
                [counts.index(count) for count in line["labels"]],
                line["error"],
                yerr=line["error_std"].fillna(0),
                marker="o",
                capsize=3,
                label="\n".join(names),
            )
        axis.set_xticks(range(len(counts)), [f"{count:,}" for count in counts])
        axis.set(title=dataset, xlabel="labels", ylabel="test error in %, last epoch")
        axis.set_ylim(bottom=0)
        axis.grid(axis="y", alpha=0.3)
        axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure
