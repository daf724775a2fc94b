"""The tables once more, without training: python -m benchmarks.table RUN_OR_CSV..."""

import dataclasses
from collections.abc import Sequence

from benchmarks import layout
from color_s4l import command_line
from color_s4l.artifacts import provenance
from color_s4l.fields import operands, option

_DESCRIPTION = """Makes the tables of error rates (.csv, .md, .tex) and their plot
(.png) from what is measured already.

  python -m benchmarks.table runs
  python -m benchmarks.table runs/one runs/other benchmarks/results/demo.csv
"""


@dataclasses.dataclass(frozen=True)
class Table:
    """The command's words and flags."""

    measured: tuple[str, ...] = operands(
        "MEASURED", "Run folders, folders of them, result CSVs."
    )
    measure: str = option("error", "What the tables show.", tuple(layout.MEASURES))
    stages: bool = option(
        False, "Also each stage of a recipe's run folder; a CSV has what it has."
    )
    output: str = option("table.csv", "One row per run; .md, .tex, .png beside.")


def table(flags: Table) -> None:
    """Runs the command."""
    from benchmarks import output, sources

    path = output.check(flags.output)
    rows = sources.rows(flags.measured, stages=flags.stages)
    command = command_line.command("benchmarks.table", provenance.portable(flags))
    print(output.write(rows, path, flags.measure, command))
    print(f"written    {path}; beside it .md, .tex, .png", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(table, Table, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
