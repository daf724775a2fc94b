"""python -m color_s4l.networks: the trunks with what they cost and see."""

import dataclasses
import sys
from collections.abc import Iterator

from color_s4l import command_line
from color_s4l.fields import option

DESCRIPTION = """
python -m color_s4l.networks [--flags]

Lists the trunks: trainable parameters, moving statistics, multiply-adds of one image
(millions, forward) and the receptive field (pixels).
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """What to list."""

    image_size: int = option(32, "side of the square RGB images, pixels")
    width: float = option(1.0, "factor on every number of filters")


def lines(options: Options) -> Iterator[str]:
    """The table, line by line, as soon as a trunk is counted.

    Args:
        options: What to list.

    Raises:
        InputError: Some trunk takes no images of this size.
    """
    # Here, so that --help does not wait for Keras.
    from color_s4l.networks import TRUNKS
    from color_s4l.networks.statistics import statistics

    yield f"{'network':14} {'parameters':>13} {'moving':>9} {'M MAC':>8} {'field':>6}"
    for name, build in TRUNKS.items():
        size = options.image_size
        found = statistics(build((size, size, 3), width=options.width))
        yield (
            f"{name:14} {found.trainable:13,} {found.moving:9,} "
            f"{found.multiply_adds / 1e6:8,.0f} {found.receptive_field:6,}"
        )


def show(options: Options) -> None:
    """Prints the table."""
    for line in lines(options):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(command_line.run(show, Options, DESCRIPTION))
