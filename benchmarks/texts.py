"""The tables as text: Markdown, LaTeX, with the origin of every number."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks import layout

NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "svhn_cropped": "SVHN"}
CAPTION = (
    "Test error in %, {measure}; mean ± standard deviation over seeds (number of "
    "runs). Bold: the lowest of its column among equal settings."
)
# Lines that a page has room for in LaTeX, of a table's rows and of its notes; and
# characters that such a line has room for.
PAGE, NOTE = 45, 90
_SPECIAL = str.maketrans(
    {
        **{sign: rf"\{sign}" for sign in "%_&#${}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
    }
)


def markdown(found: pd.DataFrame, measure: str, origin: str) -> str:
    """The tables of all data sets, in Markdown.

    Args:
        found: Of `layout.annotated`.
        measure: One of `layout.MEASURES`.
        origin: The command that made the table.

    Returns:
        A whole file.
    """
    lines = ["# Error rates", "", CAPTION.format(measure=layout.MEASURES[measure]), ""]
    for dataset, rows in found.groupby("dataset", sort=False):
        text, bold = layout.block(rows, measure)
        marked = text.where(~bold, "**" + text.astype(str) + "**")
        lines += [f"## {NAMES.get(dataset, dataset)}", ""]
        lines += [marked.to_markdown(index=False, disable_numparse=True), ""]
    lines += ["## Origin of our numbers", ""]
    lines += [f"* {name}: {value}" for name, value in origins(found, origin).items()]
    return "\n".join(lines) + "\n"


def latex(found: pd.DataFrame, measure: str, origin: str) -> str:
    """As `markdown`, in LaTeX (package booktabs), to be read by \\input.

    The settings are sentences and would run off the page: they stand below, by number.
    Long tables are several; four label counts need margins of one inch (package
    geometry).

    Args:
        found: Of `layout.annotated`.
        measure: One of `layout.MEASURES`.
        origin: The command that made the table.
    """
    lines = [f"% {name}: {value}" for name, value in origins(found, origin).items()]
    for dataset, rows in found.groupby("dataset", sort=False):
        text, bold = layout.block(rows, measure)
        caption = CAPTION.format(measure=layout.MEASURES[measure])
        caption = typeset(f"{NAMES.get(dataset, dataset)}. {caption}")
        for part in _pages(text):
            lines += ["", *_float(text.iloc[part], bold.iloc[part], caption)]
    return "\n".join(lines) + "\n"


def _pages(text: pd.DataFrame) -> Sequence[np.ndarray]:
    """Which rows go together: as few parts as fit a page each, about equally long."""
    for count in range(1, len(text) + 1):
        parts = np.array_split(np.arange(len(text)), count)
        if all(_height(text.iloc[part]) <= PAGE for part in parts):
            break
    return parts


def _height(text: pd.DataFrame) -> int:
    """Lines of the rows and of their notes."""
    notes = _notes(text).unique()
    return len(text) + sum(math.ceil(len(note) / NOTE) for note in notes)


def _notes(cells: pd.DataFrame) -> pd.Series:
    return cells["source"] + "; " + cells["settings"]


def _float(text: pd.DataFrame, bold: pd.DataFrame, caption: str) -> list[str]:
    """One table with its notes."""
    cells = text.map(typeset)
    marked = cells.where(~bold, r"\textbf{" + cells + "}")
    number, notes = pd.factorize(_notes(cells))
    marked = marked.drop(columns=["source", "settings"])
    marked.insert(2, "note", number + 1)
    return [
        r"\begin{table}[htbp]",
        rf"\caption{{{caption}}}",
        r"\footnotesize\setlength{\tabcolsep}{4pt}",
        marked.to_latex(index=False, escape=False).rstrip(),
        r"\par\smallskip\raggedright",
        *(rf"{place}: {note}\par" for place, note in enumerate(notes, start=1)),
        r"\end{table}",
    ]


def typeset(text: str) -> str:
    """Text as LaTeX shows it: special characters as they are, flags in one piece.

    Args:
        text: One line.
    """
    # "--" would become one dash, and lines would be broken after it.
    return re.sub(r"--\S+", _flag, text.translate(_SPECIAL))


def _flag(found: re.Match) -> str:
    return rf"\mbox{{{found[0].replace('--', '-{}-')}}}"


def origins(found: pd.DataFrame, command: str) -> dict[str, str]:
    """What every result file says of where its numbers come from.

    Args:
        found: Of `layout.annotated`.
        command: The command that made the table.
    """

    def all_of(name: str) -> str:
        values = "; ".join(found[name].astype(str)).split("; ")
        return "; ".join(dict.fromkeys(values))

    counts = sorted(found["n"].unique())
    # A stage's row is of the run that has a row of its own.
    whole = found[found.reindex(columns=["stage"])["stage"].isna()]
    return {
        "command": command,
        "runs": f"n = {', '.join(map(str, counts))} of each setting, "
        f"{whole['n'].sum()} in total",
        "seeds": all_of("seeds"),
        "hardware": all_of("hardware"),
        "versions": all_of("versions"),
        "date": all_of("date"),
    }
