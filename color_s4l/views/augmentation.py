"""Augmentation by shift or crop, flip and noise: random draws, then application.

The published augmentation (Tran 2019): a shift by -2 to 2 pixels along each axis, with
mirrored edges; a flip with probability 1/2; Gaussian noise with standard deviation
0.15, added last to preprocessed images.

For photographs, a random part of the image, enlarged to the image's size, can replace
the shift (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842, section 6). Its area is
a random share of the image's area, and the logarithm of its width divided by its height
is uniform between log 3/4 and log 4/3. Szegedy et al. use at least 8 % of the area. The
weak augmentation of CoMatch (Li et al. 2021, https://arxiv.org/abs/2011.11183, code for
ImageNet) uses at least 20 %, which is the default of the setting `crop_area`.
"""

import dataclasses
import math
import typing

import keras
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.views.operations import cropped

NOISE = 0.15
# Largest width / height of a crop; the smallest is 1 / LONGEST.
LONGEST = 4 / 3


class Draws(typing.NamedTuple):
    """The random draws for a batch of images.

    Attributes:
        shift: int32 `(batch, 2)`: shift of each image down and to the right, in pixels;
            None for no shift.
        flip: Boolean `(batch,)`: whether each image is flipped; None for no flips.
        noise: Float `(batch, height, width, channels)`: noise to be added; None for no
            noise.
        box: Float `(batch, 4)`: top, left, height and width of the crop of each image,
            as shares of the image's sides; None for no crop.
    """

    shift: Tensor | None
    flip: Tensor | None
    noise: Tensor | None
    box: Tensor | None = None


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The settings of the random augmentation.

    Attributes:
        shift: Largest shift in pixels; 0 for no shift.
        flip: Whether images are flipped left-right, with probability 1/2.
        noise: Standard deviation of the noise, in units of preprocessed images; 0 for
            no noise.
        area: Smallest area of a crop as a share of the image's area, in (0, 1]; crops
            replace shifts. None for no crops.
    """

    shift: int = 2
    flip: bool = False
    noise: float = NOISE
    area: float | None = None

    def draw(self, seed: keras.random.SeedGenerator, shape: tuple[int, ...]) -> Draws:
        """Returns the random draws for images `(batch, height, width, channels)`.

        Args:
            seed: SeedGenerator, advanced in place.
            shape: Shape of the images.
        """
        shift = box = None
        if self.area is None:
            shift = draw_shift(seed, shape[0], self.shift)
        else:
            box = draw_box(seed, shape[0], self.area)
        return Draws(
            shift=shift,
            box=box,
            flip=draw_flip(seed, shape[0]) if self.flip else None,
            noise=keras.random.normal(shape, stddev=self.noise, seed=seed)
            if self.noise
            else None,
        )


def draw_shift(seed: keras.random.SeedGenerator, batch: int, limit: int) -> Tensor:
    """Returns random shifts down and to the right in pixels, int32 `(batch, 2)`.

    Args:
        seed: SeedGenerator, advanced in place.
        batch: Number of images.
        limit: Largest shift in pixels, at least 0. Shifts are uniform in
            [-limit, limit].
    """
    return keras.random.randint((batch, 2), -limit, limit + 1, dtype="int32", seed=seed)


def draw_box(seed: keras.random.SeedGenerator, batch: int, smallest: float) -> Tensor:
    """Returns random crops of square images.

    Args:
        seed: SeedGenerator, advanced in place.
        batch: Number of images.
        smallest: Smallest area as a share of the image's area, in (0, 1].

    Returns:
        Float `(batch, 4)`: top, left, height and width as shares of the image's side.
    """
    return box(keras.random.uniform((batch, 4), seed=seed), smallest)


def box(position: Tensor, smallest: float) -> Tensor:
    """Returns the crops of square images that four numbers in [0, 1] describe.

    Args:
        position: Float `(batch, 4)` in [0, 1]. Each number selects a value from a
            range: 0 selects the lower end, 1 the upper end. The four ranges are those
            of the area, [smallest, 1]; of log(width / height), from log 3/4 to log 4/3;
            and of the upper and the left edge, [0, 1 - height] and [0, 1 - width].
        smallest: Smallest area, in (0, 1].

    Returns:
        Float `(batch, 4)`: top, left, height and width as shares of the image's sides.
        A side that would be longer than the image's side is as long as that side.
    """
    area = smallest + (1 - smallest) * position[:, 0]
    ratio = ops.exp(math.log(LONGEST) * (2 * position[:, 1] - 1))
    height = ops.minimum(ops.sqrt(area / ratio), 1)
    width = ops.minimum(ops.sqrt(area * ratio), 1)
    top, left = (1 - height) * position[:, 2], (1 - width) * position[:, 3]
    return ops.stack([top, left, height, width], axis=1)


def draw_flip(seed: keras.random.SeedGenerator, batch: int) -> Tensor:
    """Returns which images to flip, boolean `(batch,)`, true with probability 1/2.

    Args:
        seed: SeedGenerator, advanced in place.
        batch: Number of images.
    """
    return keras.random.uniform((batch,), seed=seed) < 0.5


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Shifts or crops images, flips them and adds noise, in this order.

    Args:
        images: Float `(batch, height, width, channels)`.
        draws: The draws for the same number of images.

    Returns:
        Float of the same shape.
    """
    if draws.shift is not None:
        images = shift(images, draws.shift)
    if draws.box is not None:
        images = crop(images, draws.box)
    if draws.flip is not None:
        images = flip(images, draws.flip)
    if draws.noise is not None:
        images = images + ops.cast(draws.noise, images.dtype)
    return images


def shift(images: Tensor, pixels: Tensor) -> Tensor:
    """Moves images by whole pixels and fills the uncovered edge by mirroring.

    The mirror repeats the edge pixel (`b a | a b c | c b`), like SciPy's `reflect`.

    Args:
        images: `(batch, height, width, channels)`, any dtype.
        pixels: int32 `(batch, 2)`: shift of each image down and to the right, at most
            the side of the image.

    Returns:
        Images of the same shape and dtype.
    """
    _, height, width, _ = images.shape
    rows = _mirrored(ops.arange(height)[None] - pixels[:, :1], height)
    columns = _mirrored(ops.arange(width)[None] - pixels[:, 1:], width)
    images = ops.take_along_axis(images, rows[:, :, None, None], axis=1)
    return ops.take_along_axis(images, columns[:, None, :, None], axis=2)


def crop(images: Tensor, boxes: Tensor) -> Tensor:
    """Cuts out a part of each image and enlarges it to the image's size, bilinearly.

    Args:
        images: Float `(batch, height, width, channels)`.
        boxes: Float `(batch, 4)`: top, left, height and width, as shares of the image's
            sides.

    Returns:
        Images of the same shape.
    """
    return cropped(images, *(boxes[:, i] for i in range(4)))


def _mirrored(position: Tensor, size: int) -> Tensor:
    """Reflects positions outside [0, size) at the edge; the edge pixel is repeated."""
    position = ops.where(position < 0, -position - 1, position)
    return ops.where(position >= size, 2 * size - 1 - position, position)


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Flips the chosen images left-right.

    Args:
        images: `(batch, height, width, channels)`.
        chosen: Boolean `(batch,)`.

    Returns:
        Images of the same shape.
    """
    return ops.where(chosen[:, None, None, None], ops.flip(images, axis=2), images)
