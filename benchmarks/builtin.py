r"""Writes the package's weights from a finished run: python -m benchmarks.builtin RUN.

The weights of the package are those of this run:

  python -m color_s4l.train --flagfile=flags/fast/cifar10_supervised.cfg \
      --dataset=cifar100
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.fields import operands, option

LICENSE = "Apache-2.0, as the library"


@dataclasses.dataclass(frozen=True)
class BuiltIn:
    """The flags of the command."""

    run: tuple[str, ...] = operands("RUN", "One finished run directory.")
    output: str | None = option(None, "NPZ file (default: the file of the package).")


def builtin(flags: BuiltIn) -> None:
    """Writes the trunk of a run, the statistics of its preprocessing, and a note.

    Raises:
        InputError: The number of runs is not one; the run is not finished, has no
            classes or was trained with ZCA whitening; a weight is too large for
            float16; or the file would be larger than 5 MB.
    """
    from color_s4l.artifacts import builtin as weights
    from color_s4l.artifacts.run_directory import (
        RunDirectory,
        read_config,
        read_result,
    )
    from color_s4l.training.inputs import read_initial

    if len(flags.run) != 1:
        raise InputError(f"Expected one run directory. Received: {len(flags.run)}.")
    folder = pathlib.Path(flags.run[0])
    config = read_config(RunDirectory(folder))
    result = read_result(RunDirectory(folder))
    settings, initial = config["settings"], read_initial(folder)
    if settings["zca"]:
        raise InputError(
            "Expected a run without ZCA whitening, which works for one image size "
            f"only. Received: {folder}, trained with --zca. Train with --nozca."
        )
    path = pathlib.Path(flags.output) if flags.output else weights.FILE
    note = {
        **{name: settings[name] for name in ("network", "width", "normalization")},
        "dataset": settings["dataset"],
        "labels": result["labels"],
        "error": result["error"],
        "command": config["command"],
        "license": LICENSE,
        "date": config["date"],
    }
    weights.write(path, initial.trunk, initial.statistics or {}, note)
    print(f"written    {path} ({path.stat().st_size / 1e6:.1f} MB)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(builtin, BuiltIn, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
