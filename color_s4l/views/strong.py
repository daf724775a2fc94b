"""The strong view: RandAugment and Cutout, then what a weak view does.

Sohn et al. 2020 (FixMatch), in the form of USB (Wang et al. 2022): three of the
fourteen operations, each with a value uniform in its range; then a grey square with
a side of up to half the image's. Drawn once, then applied, on raw images.
"""

import typing

import keras
from keras import ops

from color_s4l.views import sampling
from color_s4l.views.augmentation import Draws
from color_s4l.views.families import UNLABELED
from color_s4l.views.family import Family, View
from color_s4l.views.operations import OPERATIONS

CHOSEN = 3
LARGEST_SQUARE = 0.5
# The mean colour of CIFAR's images, as in the published code.
GREY = (125.0, 123.0, 114.0)


class StrongDraws(typing.NamedTuple):
    """What chance decided for a batch of images.

    Attributes:
        operations: int32 `(batch, 3)`: places in `OPERATIONS`, in their order.
        values: Float `(batch, 3)` in [0, 1): places in the operations' ranges.
        square: Float `(batch, 3)` in [0, 1): the middle, down and to the right, and
            the side of the grey square, in shares of `LARGEST_SQUARE`.
        weak: What comes after.
    """

    operations: typing.Any
    values: typing.Any
    square: typing.Any
    weak: Draws


class Strong(Family):
    """An unlabelled image, changed as much as its class allows."""

    def views(self):
        """The one view."""
        return {"strong": View(UNLABELED)}

    def draw(self, seed, shape, names):
        """Three operations, their values, the square, and a weak view's draws."""
        size = (shape[0], CHOSEN)
        return StrongDraws(
            keras.random.randint(size, 0, len(OPERATIONS), dtype="int32", seed=seed),
            keras.random.uniform(size, seed=seed),
            keras.random.uniform((shape[0], 3), seed=seed),
            self.augmentation.draw(seed, shape),
        )

    def apply(self, batch, draws, names):
        """Changes the raw images, then augments them like a weak view."""
        images = randaugment(batch[UNLABELED], draws.operations, draws.values)
        return {"strong": self.augmented(cutout(images, draws.square), draws.weak)}


def randaugment(images, operations, values):
    """Applies three operations to each image.

    Args:
        images: uint8 or float `(batch, height, width, 3)` in [0, 255].
        operations: int32 `(batch, 3)`.
        values: Float `(batch, 3)` in [0, 1].

    Returns:
        Float32 of the images' shape: whole numbers from 0 to 255.
    """
    images = ops.cast(images, "float32")
    for number in range(CHOSEN):
        images = _one_operation(images, operations[:, number], values[:, number])
    return images


def _one_operation(images, chosen, values):
    """Every operation on all images; each keeps what was chosen for it.

    The movements become one: their matrices are chosen before pixels are moved.
    """
    side = images.shape[2]
    still = ops.cast(ops.stack([1, 0, 0, 0, 1, 0]), "float32")
    matrix = ops.ones_like(values)[:, None] * still
    changed = images
    for place, operation in enumerate(OPERATIONS.values()):
        value = operation.value(values)
        here = chosen == place
        if operation.matrix:
            matrix = ops.where(here[:, None], operation.matrix(value, side), matrix)
        elif operation.pixels:
            new = operation.pixels(images, value)
            changed = ops.where(here[:, None, None, None], new, changed)
    return sampling.nearest(changed, matrix)


def cutout(images, square):
    """Covers a square of each image with grey.

    Args:
        images: Float `(batch, height, width, 3)` in [0, 255].
        square: Float `(batch, 3)`, as in `StrongDraws`.

    Returns:
        Images of the same shape. Pixels are covered whose middle lies in the square;
        where it reaches over the edge, less than the square is.
    """
    _, height, width, _ = images.shape
    half = LARGEST_SQUARE * square[:, 2, None] / 2
    down = _covered(height, square[:, 0, None], half)
    right = _covered(width, square[:, 1, None], half)
    covered = down[:, :, None] & right[:, None, :]
    grey = ops.convert_to_tensor(GREY, images.dtype)
    return ops.where(covered[..., None], grey, images)


def _covered(size: int, middle, half):
    """Boolean `(batch, size)`: lines that the square covers."""
    place = (ops.arange(size, dtype="float32")[None] + 0.5) / size
    return ops.abs(place - middle) < half
