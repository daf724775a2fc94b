"""Trains a classifier from few labels and many images: python -m color_s4l.train."""

from collections.abc import Sequence

from color_s4l import command_line
from color_s4l.settings import Run

_DESCRIPTION = """Trains a classifier from few labelled and many unlabelled images, and
writes a run directory: model, error rates, split, log, pictures.

  python -m color_s4l.train                                       (built-in images)
  python -m color_s4l.train --dataset=cifar100 --colorizer=cifar100_100.h5
  python -m color_s4l.train --recipe=rotnet_finetune --labels=100
  python -m color_s4l.train --flagfile=flags/color_s4l/cifar10.cfg --labels=4000
"""


def train(run: Run) -> None:
    """Runs the command."""
    # Imported here, because Keras takes seconds to start and --help does not need it.
    from color_s4l.recipes.procedure import fit

    fit(run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the arguments and runs the command; returns the exit code."""
    return command_line.run(train, Run, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
