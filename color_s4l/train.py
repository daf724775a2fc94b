"""Trains a classifier from few labels and many images: python -m color_s4l.train."""

import pathlib
import warnings
from collections.abc import Sequence

from color_s4l import command_line, registry, settings
from color_s4l.artifacts import run_directory
from color_s4l.settings import Run

_DESCRIPTION = """Trains a classifier from few labelled and many unlabelled images, and
writes a run directory: model, error rates, split, log, pictures.

  python -m color_s4l.train                                       (built-in images)
  python -m color_s4l.train --dataset=cifar100 --colorizer=cifar100_100.h5
  python -m color_s4l.train --recipe=rotnet_finetune --labels=100
  python -m color_s4l.train --flagfile=flags/color_s4l/cifar10.cfg --labels=4000
"""


def check(run: Run) -> None:
    """Checks everything that can be checked before Keras is imported.

    Warns if there is no run to resume. This is not an error, so that a script can
    always set `resume`.

    Raises:
        InputError: A setting is wrong.
    """
    settings.check(run)
    if not run.plugins:
        methods = run.method.split("+")
        registry.check_names("method", methods, registry.METHODS, registry.TERMS)
        registry.check_names("network", [run.network], registry.TRUNKS)
        recipes = [run.recipe] if run.recipe else []
        registry.check_names("recipe", recipes, registry.RECIPES)
    values = settings.to_json(run)
    folder = pathlib.Path(run.run_dir or run_directory.default_path(values))
    if run.resume and not folder.exists():
        warnings.warn(
            f"`resume`: there is no run directory {folder}. A new run is started.",
            stacklevel=2,
        )


def train(run: Run) -> None:
    """Runs the command."""
    # Imported here, because Keras takes seconds to start and --help does not need it.
    from color_s4l.recipes.procedure import fit

    if not run.distributed:
        fit(run)
        return
    from color_s4l.training import processes

    processes.native_log = command_line.divert_native_messages()
    fit(run)
    processes.native_log.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the arguments and runs the command; returns the exit code."""
    return command_line.run(train, Run, _DESCRIPTION, arguments, check=check)


if __name__ == "__main__":
    raise SystemExit(main())
