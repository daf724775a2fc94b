"""Augmentation by shift, left-right flip and noise: random draws, then application.

The published augmentation (Tran 2019): a shift by -2 to 2 pixels along each axis, with
mirrored edges; a flip with probability 1/2; Gaussian noise with standard deviation
0.15, added last to preprocessed images.
"""

import dataclasses
import typing

import keras
from keras import ops

from color_s4l.backend import Tensor

NOISE = 0.15


class Draws(typing.NamedTuple):
    """The random draws for a batch of images.

    Attributes:
        shift: int32 `(batch, 2)`: shift of each image down and to the right, in pixels.
        flip: Boolean `(batch,)`: whether each image is flipped; None for no flips.
        noise: Float `(batch, height, width, channels)`: noise to be added; None for no
            noise.
    """

    shift: Tensor
    flip: Tensor | None
    noise: Tensor | None


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The settings of the random augmentation.

    Attributes:
        shift: Largest shift in pixels; 0 for no shift.
        flip: Whether images are flipped left-right, with probability 1/2.
        noise: Standard deviation of the noise, in units of preprocessed images; 0 for
            no noise.
    """

    shift: int = 2
    flip: bool = False
    noise: float = NOISE

    def draw(self, seed: keras.random.SeedGenerator, shape: tuple[int, ...]) -> Draws:
        """Returns the random draws for images `(batch, height, width, channels)`.

        Args:
            seed: SeedGenerator, advanced in place.
            shape: Shape of the images.
        """
        return Draws(
            shift=draw_shift(seed, shape[0], self.shift),
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


def draw_flip(seed: keras.random.SeedGenerator, batch: int) -> Tensor:
    """Returns which images to flip, boolean `(batch,)`, true with probability 1/2.

    Args:
        seed: SeedGenerator, advanced in place.
        batch: Number of images.
    """
    return keras.random.uniform((batch,), seed=seed) < 0.5


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Shifts images, flips them and adds noise, in this order.

    Args:
        images: Float `(batch, height, width, channels)`.
        draws: The draws for the same number of images.

    Returns:
        Float of the same shape.
    """
    images = shift(images, draws.shift)
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
