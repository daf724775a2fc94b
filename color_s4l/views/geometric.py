"""The six geometric views of an image, and what undoes each.

Tran 2019: rotations by multiples of 90 degrees (counter-clockwise) and the two
flips; their order here is the order of the published proxy labels 0 to 5.
"""

from collections.abc import Callable

from keras import ops


def _turned(quarters: int) -> Callable:
    # ops.rot90 turns axes (0, 1) by default; the images' are (1, 2).
    return lambda images: ops.rot90(images, quarters, axes=(1, 2))


def _flipped(axis: int) -> Callable:
    return lambda images: ops.flip(images, axis=axis)


GEOMETRIC = {
    "identity": lambda images: images,
    "rotated_90": _turned(1),
    "rotated_180": _turned(2),
    "rotated_270": _turned(3),
    "flipped_left_right": _flipped(2),
    "flipped_up_down": _flipped(1),
}

INVERSE = {
    **GEOMETRIC,
    "rotated_90": GEOMETRIC["rotated_270"],
    "rotated_270": GEOMETRIC["rotated_90"],
}
