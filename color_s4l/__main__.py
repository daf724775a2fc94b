"""All commands under one name: color-s4l train, or python -m color_s4l train."""

import importlib
import importlib.metadata
import sys
from collections.abc import Sequence

from color_s4l.command_line import EXIT_WRONG_INPUT
from color_s4l.errors import suggestion

# Name -> module with a function `main`, and one line for `--help`.
COMMANDS = {
    "train": ("color_s4l.train", "train a classifier"),
    "evaluate": ("color_s4l.evaluate", "measure the error of a classifier"),
    "predict": ("color_s4l.predict", "classify image files"),
    "export": ("color_s4l.export", "write a classifier in another format"),
    "inspect": ("color_s4l.inspect", "check the images and labels of a data set"),
    "transfer": ("color_s4l.transfer", "train on images with several labels or masks"),
    "report": ("color_s4l.report.__main__", "write an HTML page about runs"),
    "colorize": ("colorization.colorize", "colourise photographs"),
    "train-colorizer": ("colorization.train", "train a colorizer"),
    "evaluate-colorizer": ("colorization.evaluate", "measure a colorizer"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code.

    Args:
        arguments: The name of the command and its arguments; default: `sys.argv[1:]`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words else "--help"
    if name in ("--help", "-h"):
        print("color-s4l COMMAND [--flag=value ...]\n")
        for command, (_, text) in COMMANDS.items():
            print(f"  {command:<20} {text}")
        print("\ncolor-s4l COMMAND --help lists the flags of a command.")
        return 0
    if name == "--version":
        print(f"color-s4l {importlib.metadata.version('color-s4l')}")
        return 0
    if name not in COMMANDS:
        print(
            f"error: There is no command {name!r}.{suggestion(name, COMMANDS)} "
            f"There are: {', '.join(COMMANDS)}.",
            file=sys.stderr,
        )
        return EXIT_WRONG_INPUT
    return importlib.import_module(COMMANDS[name][0]).main(words[1:])


if __name__ == "__main__":
    raise SystemExit(main())
