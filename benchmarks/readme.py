"""The README's table of results, from benchmarks/results: python -m benchmarks.readme.

Every measured setting stands in it once, beside the published number that belongs to
it. A test holds the README to be what this command writes.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import pandas as pd

from benchmarks import layout, sources
from benchmarks.speed.table import side_by_side
from benchmarks.texts import NAMES
from color_s4l import command_line
from color_s4l.artifacts import tables
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError
from color_s4l.fields import option

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN = "<!-- Written by python -m benchmarks.readme from benchmarks/results -->"
AVERAGED = "teacher, average"
END = "<!-- end of the results -->"


@dataclasses.dataclass(frozen=True)
class Readme:
    """The command's flags."""

    readme: str = option(str(ROOT / "README.md"), "The file with the two marks.")
    results: str = option(str(RESULTS), "Folder of the result files.")


def readme(flags: Readme) -> None:
    """Runs the command."""
    path = pathlib.Path(flags.readme)
    text = replaced(path.read_text(encoding="utf-8"), shown(flags.results))
    write_atomically(path, lambda file: file.write(text.encode()))
    print(f"written    {path}", flush=True)


def shown(folder: str | pathlib.Path) -> str:
    """The Markdown between the two marks: error rates, then speeds.

    Args:
        folder: Of the result files.
    """
    errors = section(results(folder), costs(folder))
    return "\n\n".join([errors, *speeds(folder)])


def results(folder: str | pathlib.Path) -> pd.DataFrame:
    """All rows of the result files that are tables of error rates.

    Raises:
        InputError: There is none.
    """
    files = sorted(pathlib.Path(folder).glob("*.csv"))
    parts = []
    for path in files:
        if set(pd.read_csv(path, nrows=0)) >= sources.REQUIRED:
            parts.append(sources.read(str(path)).assign(file=path.name))
    if not parts:
        raise InputError(f"{folder} holds no table of error rates.")
    return pd.concat(parts).reset_index(drop=True)


def costs(folder: str | pathlib.Path) -> pd.DataFrame:
    """What a step of each method costs in the ConvNet, empty where none was measured.

    Returns:
        By method: time and peak memory as multiples of `supervised`'s.

    Raises:
        InputError: A method stands twice.
    """
    path = pathlib.Path(folder) / "costs.csv"
    names = {
        "step_to_supervised": "step, of supervised's",
        "memory_to_supervised": "memory",
    }
    if not path.exists():
        return pd.DataFrame(columns=list(names.values()))
    table = pd.read_csv(path).query("network == 'convnet'").set_index("method")
    if not table.index.is_unique:
        raise InputError(f"{path}: expected each method once with the ConvNet.")
    return table[list(names)].rename(columns=names).dropna()


def speeds(folder: str | pathlib.Path) -> list[str]:
    """Of each result file that compares with PyTorch: heading and table, Markdown.

    Raises:
        InputError: A case stands twice in a file.
    """
    parts = []
    for path in sorted(pathlib.Path(folder).glob("*.csv")):
        rows = pd.read_csv(path)
        if "ratio_to_torch" in rows and rows["ratio_to_torch"].notna().any():
            try:
                table = side_by_side(rows)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            parts += [_speed_heading(rows, path.name), _aligned(table)]
    return parts


def _speed_heading(rows: pd.DataFrame, file: str) -> str:
    def all_of(name: str) -> str:
        return ", ".join(f"{value:g}" for value in rows[name].dropna().unique())

    size = all_of("image_size")
    return (
        f"**Training speed.** Width {all_of('width')}, {size} x {size} px, "
        f"{all_of('batch_size')} unlabelled images a step, all images and views that "
        f"go through the trunk counted; MB: the process's peak. The step written "
        f"plainly in PyTorch stands beside. "
        f"{'; '.join(rows['hardware'].dropna().unique())}; "
        f"{_versions(rows, ('keras', *rows['backend']))}. "
        f"[{file}](benchmarks/results/{file})"
    )


def _aligned(table: pd.DataFrame) -> str:
    return table.to_markdown(index=False, disable_numparse=True)


def section(rows: pd.DataFrame, costs: pd.DataFrame) -> str:
    """The tables of error rates in Markdown.

    Args:
        rows: Of `results`.
        costs: Of the function; beside the errors where every method of a table has one.
    """
    found = pd.concat(layout.annotated(own) for _, own in rows.groupby("file"))
    parts = []
    for _, block in found.groupby(["file", "dataset", "labels", "shared"], sort=False):
        bold = layout.best(block, "error")
        cells = zip(block.iterrows(), bold, strict=True)
        table = pd.DataFrame([_line(row, best) for (_, row), best in cells])
        if block["averaged_error"].isna().all():
            table = table.drop(columns=AVERAGED)
        known = set(block["name"]) <= set(costs.index)
        if known and set(block["network"]) == {"convnet"}:
            beside = costs.loc[block["method"]].reset_index(drop=True)
            table = table.join(beside.map("{:.2f} x".format))
        parts += [_heading(block), _aligned(table)]
    return "\n\n".join(parts)


def _heading(block: pd.DataFrame) -> str:
    first = block.iloc[0]
    dataset = NAMES.get(first["dataset"], f"Built-in {first['dataset']}")
    seeds = " and ".join(block["seeds"].unique())
    file = f"[{first['file']}](benchmarks/results/{first['file']})"
    hardware = "; ".join(block["hardware"].unique())
    used = ("keras", *block["backend"])
    return (
        f"**{dataset}, {first['labels']:,} labels.** {first['shared'].capitalize()} "
        f"(seeds {seeds}). {hardware}; {_versions(block, used)}. {file}"
    )


def _line(row: pd.Series, best: bool) -> dict:
    number = tables.spread(row["error"], row["error_std"], row["n"])
    augmented = tables.spread(row["error_augmented"], row["error_augmented_std"])
    return {
        "method": f"`{row['name']}`" + (f", {row['own']}" if row["own"] else ""),
        "network": row["network"],
        "error (n)": f"**{number}**" if best else number,
        "augmented": augmented,
        AVERAGED: tables.spread(row["averaged_error"], row["averaged_error_std"]),
        "published (n)": _published(row),
    }


def _published(row: pd.Series) -> str:
    """The published number of the same cell, the first of several."""
    rows = layout.beside(pd.DataFrame([row]))
    if rows.empty:
        return "–"
    first = rows.iloc[0]
    number = tables.spread(first["error"], first["std"], first["n"])
    return f"{number}, {first['source']}, {first['table']}"


def _versions(block: pd.DataFrame, used: Sequence[str]) -> str:
    """Versions of what computes, and the days."""
    words = "; ".join(block["versions"]).replace(";", ",").split(", ")
    kept = dict.fromkeys(word for word in words if word.split()[0] in used)
    days = sorted({day for days in block["date"] for day in days.split("; ")})
    return f"{', '.join(kept)}; {', '.join(days)}"


def replaced(text: str, new: str) -> str:
    """A README with another section between its marks.

    Raises:
        InputError: It lacks one of the marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"The README needs the lines {BEGIN!r} and {END!r}.")
    return f"{before}{begin}\n\n{new}\n\n{end}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(readme, Readme, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
