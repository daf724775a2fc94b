"""python -m color_s4l.networks: lists the trunks with their sizes and costs."""

import dataclasses
import sys
from collections.abc import Iterator
from typing import Annotated

from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.fields import Above, AtLeast, check, option
from color_s4l.networks.structure import statistics
from color_s4l.registry import TRUNKS

DESCRIPTION = """
python -m color_s4l.networks [--flags]

Lists the trunks: trainable parameters, moving statistics, multiply-adds for one image
(millions, forward) and the receptive field (pixels).
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of the command."""

    image_size: Annotated[int, AtLeast(1)] = option(
        32, "Side of the square RGB images in pixels."
    )
    width: Annotated[float, Above(0)] = option(1.0, "Factor on the number of filters.")
    plugins: tuple[str, ...] = option(
        (), "Module or .py file that registers networks; may be repeated."
    )

    def __post_init__(self):
        check(self)


def lines(options: Options) -> Iterator[str]:
    """Yields the lines of the table, each line as soon as it is computed.

    Args:
        options: The flags. If a trunk does not accept the size or the width, its line
            contains the reason.
    """
    longest = max(map(len, TRUNKS))
    yield (
        f"{'network':{longest}} {'parameters':>13} {'moving':>9} {'M MAC':>8} "
        f"{'field':>6}"
    )
    for name, build in TRUNKS.items():
        size = options.image_size
        try:
            trunk = build((size, size, 3), width=options.width, synchronized=False)
        except InputError as error:
            yield f"{name:{longest}} {command_line.with_flags(str(error), Options)}"
            continue
        found = statistics(trunk)
        yield (
            f"{name:{longest}} {found.trainable:13,} {found.moving:9,} "
            f"{found.multiply_adds / 1e6:8,.0f} {found.receptive_field:6,}"
        )


def show(options: Options) -> None:
    """Prints the table."""
    for line in lines(options):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(command_line.run(show, Options, DESCRIPTION))
