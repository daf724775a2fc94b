"""One page of pictures and numbers about runs: python -m color_s4l.report."""

import dataclasses
import pathlib
from collections.abc import Sequence

from color_s4l import command_line
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError
from color_s4l.fields import operands, option

_DESCRIPTION = """Writes one self-contained HTML page about finished runs: error rates,
published ones beside them, learning curves, mistakes, views, colours, settings, origin.

  python -m color_s4l.report runs/NAME
  python -m color_s4l.report runs/FIRST runs/SECOND --output=comparison.html
"""


@dataclasses.dataclass(frozen=True)
class Report:
    """The command's flags."""

    runs: tuple[str, ...] = operands("RUN", "Run folders, shown side by side.")
    output: str = option("report.html", "The page; replaced where it exists.")


def report(flags: Report) -> None:
    """Runs the command."""
    # Here and not above: charts and tables take a second to start, --help needs none.
    from color_s4l.report import page, records

    output = pathlib.Path(flags.output)
    if output.is_dir() or not output.parent.is_dir():
        raise InputError(f"--output={output}: expected a file in a folder that exists.")
    text = page.render(records.read(flags.runs)).encode()
    write_atomically(output, lambda file: file.write(text))
    print(f"written    {output} ({len(text) / 2**20:.1f} MB)")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(report, Report, _DESCRIPTION, arguments, needs_keras=False)


if __name__ == "__main__":
    raise SystemExit(main())
