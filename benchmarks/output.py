"""The files that a table is written to: CSV, Markdown, LaTeX, PNG."""

import pathlib

import pandas as pd

from benchmarks import layout, plots, texts
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError


def check(output: str) -> pathlib.Path:
    """Refuses a name that can't be written, before anything costly is done.

    Args:
        output: As given; its folder is made.

    Raises:
        InputError: It does not end with .csv, or its folder can't be made.
    """
    path = pathlib.Path(output)
    if path.suffix != ".csv":
        raise InputError(f"--output={output}: expected a name that ends with .csv.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output={output}: {error.strerror}.") from error
    if path.is_dir():
        raise InputError(f"--output={output} is a folder.")
    return path


def write(rows: pd.DataFrame, path: pathlib.Path, measure: str, command: str) -> str:
    """Writes the rows, and beside them the table as .md and .tex and its plot as .png.

    Args:
        rows: Of `tables.rows`.
        path: Of the CSV file.
        measure: One of `layout.MEASURES`.
        command: What made the table; stands in every file but the CSV, whose rows
            have their own.

    Returns:
        The Markdown.
    """
    rows = rows.assign(settings=layout.settings_column(rows))
    found = layout.annotated(rows)
    text = texts.markdown(found, measure, command)
    _write(path, _without_empty(rows).to_csv(index=False))
    _write(path.with_suffix(".md"), text)
    _write(path.with_suffix(".tex"), texts.latex(found, measure, command))
    figure = plots.errors_by_labels(found, measure)
    plots.save(figure, path.with_suffix(".png"), texts.origins(found, command))
    return text


def _without_empty(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows without what none of them has; a table of errors always has these."""
    kept = rows.notna().any() | rows.columns.isin([*layout.MEASURES])
    return rows.loc[:, kept]


def _write(path: pathlib.Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
