"""Two further proxy views: an affine image of the image, and a translated one.

Chen 2020's report tried both as further proxy labels and found "huge fluctuations";
its numbers are not published. Ours: an affine image is turned by up to 30 degrees and
sheared along both axes by up to 0.3, like RandAugment's operations; a translated one
is moved along both axes by 15 to 30 % of the side, more than an augmented image. What
is uncovered is 0, the mean of a preprocessed image.
"""

import typing

import keras
from keras import ops

from color_s4l.views import sampling
from color_s4l.views.operations import OPERATIONS

NEAREST_MOVE, FARTHEST_MOVE = 0.15, 0.3


class Warps(typing.NamedTuple):
    """What chance decided for a batch of images; None for what is not wanted.

    Attributes:
        affine: Float `(batch, 3)` in [0, 1): places in the ranges of the rotation
            and the two shears.
        translated: Float `(batch, 2)` in [-1, 1): direction and length of the moves
            along the rows and columns; 0 is the shortest.
    """

    affine: typing.Any
    translated: typing.Any


def draw(seed: keras.random.SeedGenerator, batch: int, names: frozenset[str]) -> Warps:
    """Draws for the named views.

    Args:
        seed: Advanced by the draws.
        batch: Number of images.
        names: Of views; others than "affine" and "translated" may be among them.

    Returns:
        The draws.
    """
    sizes = {"affine": ((batch, 3), 0.0), "translated": ((batch, 2), -1.0)}
    return Warps(
        *(
            keras.random.uniform(size, low, 1.0, seed=seed) if name in names else None
            for name, (size, low) in sizes.items()
        )
    )


def affine(images, warps: Warps):
    """Turns and shears: three movements, one after the other."""
    for place, name in enumerate(("rotate", "shear_x", "shear_y")):
        operation = OPERATIONS[name]
        value = operation.value(warps.affine[:, place])
        images = sampling.nearest(images, operation.matrix(value, images.shape[2]))
    return images


def translated(images, warps: Warps):
    """Moves along both axes."""
    length = NEAREST_MOVE + (FARTHEST_MOVE - NEAREST_MOVE) * ops.abs(warps.translated)
    moves = ops.where(warps.translated < 0, -length, length)
    for axis, name in enumerate(("translate_x", "translate_y")):
        matrix = OPERATIONS[name].matrix(moves[:, axis], images.shape[2])
        images = sampling.nearest(images, matrix)
    return images


WARPED = {"affine": affine, "translated": translated}
