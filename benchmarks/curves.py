"""Error per epoch of several runs: python -m benchmarks.curves RUN..."""

import dataclasses
import pathlib
from collections.abc import Sequence

import pandas as pd

from color_s4l import command_line
from color_s4l.artifacts import provenance, tables
from color_s4l.errors import InputError, unknown
from color_s4l.fields import operands, option

_DESCRIPTION = """Draws the error of each epoch, as Fig. 5 of the report. Runs that
differ by their seed only become one line, their mean, in a band of one standard
deviation. Unfinished runs are drawn as far as they are.

  python -m benchmarks.curves runs/*convnet* runs/*nin*
"""


@dataclasses.dataclass(frozen=True)
class Curves:
    """The command's words and flags."""

    runs: tuple[str, ...] = operands("RUN", "Run folders, or folders of run folders.")
    column: str = option("test_error", "Of the runs' log.csv.")
    output: str = option("curves.png", "The picture; its numbers beside it as .csv.")


def curves(flags: Curves) -> pd.DataFrame:
    """Runs the command.

    Returns:
        One row for each run and epoch.

    Raises:
        InputError: A word is no run's folder, or no run has such a column.
    """
    from benchmarks import plots, sources
    from color_s4l.artifacts.files import write_atomically

    path = _checked(flags.output)
    found = [_read(folder) for folder in sources.run_folders(flags.runs)]
    table = pd.concat([one for one in found if one is not None] or [pd.DataFrame()])
    if table.empty:
        raise InputError("None of these runs has finished an epoch yet.")
    if flags.column not in table or flags.column in _ORIGIN:
        logged = [name for name in table if name not in _ORIGIN]
        raise unknown("column", flags.column, logged)
    table = table[[*_ORIGIN, flags.column]].dropna(subset=[flags.column])
    text = table.to_csv(index=False).encode()
    write_atomically(path.with_suffix(".csv"), lambda file: file.write(text))
    command = command_line.command("benchmarks.curves", provenance.portable(flags))
    figure = plots.errors_by_epoch(table, flags.column)
    plots.save(figure, path, _origins(table, command))
    print(f"written    {path}; its numbers in {path.with_suffix('.csv')}", flush=True)
    return table


_ORIGIN = [
    *("dataset", "labels", "method", "network", "width", "seed", "setting", "epoch"),
    *("hardware", "versions", "command", "date"),
]


def _checked(output: str) -> pathlib.Path:
    path = pathlib.Path(output)
    if path.suffix != ".png":
        raise InputError(f"--output={output}: expected a name that ends with .png.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _read(folder: pathlib.Path) -> pd.DataFrame | None:
    """A run's log with its origin; None before its first epoch is over."""
    log = folder / "log.csv"
    if not log.exists():
        print(f"left out   {folder}: no epoch is complete", flush=True)
        return None
    about = tables.begun(folder)
    return pd.read_csv(log).assign(**about)


def _origins(table: pd.DataFrame, command: str) -> dict[str, str]:
    def all_of(name: str) -> str:
        return "; ".join(dict.fromkeys(table[name].astype(str)))

    runs = table["command"].nunique()
    names = ("hardware", "versions", "date")
    seeds = ",".join(str(seed) for seed in sorted(table["seed"].unique()))
    shown = {name: all_of(name) for name in names}
    return {"command": command, "runs": f"n = {runs}", "seeds": seeds, **shown}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(curves, Curves, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
