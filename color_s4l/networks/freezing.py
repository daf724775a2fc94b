"""Blocks of a trunk that stay as they are: weights, and batch statistics too.

Rebuffi et al. freeze the first two blocks of a pre-trained ResNet-18; a linear probe
freezes the whole trunk. Frozen batch normalisation uses its moving statistics, as in
inference.
"""

import keras

from color_s4l.errors import InputError
from color_s4l.networks import parts

ALL = -1


def freeze(trunk: keras.Model, count: int) -> None:
    """Freezes the first blocks; the stem goes with them.

    Args:
        trunk: One of `TRUNKS`.
        count: Blocks; 0: none, -1: the whole trunk, which then is a fixed function,
            without its dropout too.

    Raises:
        InputError: The trunk has fewer blocks.
    """
    blocks = parts.blocks(trunk)
    stem = blocks.pop("stem", [])
    if count > len(blocks):
        raise InputError(
            f"--freeze_blocks={count}: this network has {len(blocks)} blocks."
        )
    if count in (ALL, len(blocks)):
        trunk.trainable = False
    elif count:
        for block in (stem, *list(blocks.values())[:count]):
            for layer in block:
                layer.trainable = False


def release(trunk: keras.Model) -> None:
    """Lets everything be trained again, so that a saved model hides no frozen part."""
    trunk.trainable = True
    for layer in trunk.layers:  # Keras skips them where the trunk was trainable
        layer.trainable = True
