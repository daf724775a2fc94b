"""Writes an HTML page about finished runs: python -m color_s4l.report."""

import dataclasses
import pathlib
from collections.abc import Sequence

from color_s4l import command_line
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError
from color_s4l.fields import operands, option

_DESCRIPTION = """Writes one self-contained HTML page about finished runs: error rates
beside published error rates, learning curves, mistakes, views, colours, settings,
commands, hardware and versions.

  python -m color_s4l.report runs/NAME
  python -m color_s4l.report runs/FIRST runs/SECOND --output=comparison.html
"""


@dataclasses.dataclass(frozen=True)
class Report:
    """The flags of the command."""

    runs: tuple[str, ...] = operands("RUN", "Run directories, shown side by side.")
    output: str = option("report.html", "File of the page; replaced if it exists.")


def report(flags: Report) -> None:
    """Writes the page.

    Args:
        flags: The command's flags.

    Raises:
        InputError: No directory is given, a directory is given twice, no directory
            holds a finished run, a run has damaged files, or the folder of `output`
            does not exist.
    """
    # Imported here, because these modules take a second and --help does not need them.
    from color_s4l.report import page, records

    output = pathlib.Path(flags.output)
    if output.is_dir() or not output.parent.is_dir():
        raise InputError(f"--output={output}: expected a file in a folder that exists.")
    text = page.render(records.read(flags.runs)).encode()
    write_atomically(output, lambda file: file.write(text))
    print(f"written    {output} ({len(text) / 2**20:.1f} MB)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(report, Report, _DESCRIPTION, arguments, needs_keras=False)


if __name__ == "__main__":
    raise SystemExit(main())
