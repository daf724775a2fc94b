"""Colourises a user's own photographs: python -m colorization.colorize."""

import dataclasses
import pathlib
from collections.abc import Sequence

from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.fields import option

_DESCRIPTION = """Colourises photographs at their own size.

  python -m colorization.colorize --colorizer=cifar100_100.h5 --input=DIR --output=DIR2
"""


@dataclasses.dataclass(frozen=True)
class Colorize:
    """The command's flags."""

    colorizer: str = option("", "File of colorization.train.")
    input: str = option("", "An image, or a folder (its subfolders included).")
    output: str = option("", "Folder for the results, under the same names.")
    longest: int = option(
        1024, "Longest side in pixels at which colours are predicted; L* stays whole."
    )


def _check(flags: Colorize) -> None:
    for name in ("colorizer", "input", "output"):
        if not getattr(flags, name):
            raise InputError(f"--{name} is missing (see --help).")
    if flags.longest < 8:
        raise InputError(f"Expected --longest from 8. Received: {flags.longest}.")


def _plan(source: pathlib.Path, output: pathlib.Path) -> dict:
    """Image to result; refused as a whole where a file would be overwritten."""
    from colorization import photographs

    found = photographs.find(source)
    plan = {path: photographs.target(path, source, output) for path in found}
    if len(set(plan.values())) < len(plan):
        raise InputError("Two of the images would get the same name: rename one.")
    existing = [str(path) for path in plan.values() if path.exists()]
    if existing:
        raise InputError(
            f"{existing[0]!r} exists already, and nothing is overwritten: give another "
            "--output."
        )
    return plan


def _colorize_all(colorizer, plan: dict, longest: int) -> int:
    """Writes every result; returns how many images could not be read."""
    from colorization import photographs

    skipped = 0
    for path, result in plan.items():
        try:
            image = photographs.read(path)
        except ValueError as error:
            print(f"skipped {path}: {error}")
            skipped += 1
            continue
        photographs.write(result, photographs.colorize(colorizer, image, longest))
        print(f"{path} -> {result}", flush=True)
    return skipped


def colorize(flags: Colorize) -> None:
    """Runs the command.

    Raises:
        InputError: A flag is missing, the file is no colorizer, a result exists
            already, or no image could be read.
    """
    _check(flags)
    plan = _plan(pathlib.Path(flags.input), pathlib.Path(flags.output))
    # Here and not above: Keras takes seconds to start, and --help needs none.
    from colorization import saving

    colorizer = saving.load(flags.colorizer)
    print(f"{len(plan)} images; the results go to {flags.output}/")
    skipped = _colorize_all(colorizer, plan, flags.longest)
    print(f"Colourised {len(plan) - skipped} images, skipped {skipped}.")
    if skipped == len(plan):
        raise InputError("None of the images could be read.")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point; returns its exit code."""
    return command_line.run(colorize, Colorize, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
