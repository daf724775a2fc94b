"""Shift, left-right flip and noise: each drawn once, then applied.

The published augmentation (Tran 2019): shift by -2..2 pixels, each axis by
itself, with the edge pixels repeated; flip with probability 1/2; Gaussian noise
of standard deviation 0.15, added last, on preprocessed images.
"""

import dataclasses
import typing

import keras
from keras import ops

NOISE = 0.15


class Draws(typing.NamedTuple):
    """What chance decided for a batch of images.

    Attributes:
        shift: int32 `(batch, 2)`: pixels down and to the right.
        flip: Boolean `(batch,)`, or None: no image is flipped.
        noise: Float `(batch, height, width, channels)`, to be added.
    """

    shift: typing.Any
    flip: typing.Any
    noise: typing.Any


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How strongly images are changed.

    Attributes:
        shift: Largest shift in pixels; 0 for none.
        flip: Whether half of the images are flipped left-right.
        noise: Standard deviation, in units of preprocessed images.
    """

    shift: int = 2
    flip: bool = False
    noise: float = NOISE

    def draw(self, seed: keras.random.SeedGenerator, shape: tuple[int, ...]) -> Draws:
        """Draws for images of `shape`, `(batch, height, width, channels)`."""
        return Draws(
            shift=draw_shift(seed, shape[0], self.shift),
            flip=draw_flip(seed, shape[0]) if self.flip else None,
            noise=keras.random.normal(shape, stddev=self.noise, seed=seed),
        )


def draw_shift(seed: keras.random.SeedGenerator, batch: int, limit: int):
    """Draws by how many pixels to move each image.

    Args:
        seed: Advanced by the draw.
        batch: Number of images.
        limit: Largest shift in pixels, at least 0.

    Returns:
        int32 `(batch, 2)`: down and to the right, each uniform in [-limit, limit].
    """
    return keras.random.randint((batch, 2), -limit, limit + 1, dtype="int32", seed=seed)


def draw_flip(seed: keras.random.SeedGenerator, batch: int):
    """Draws which images to flip.

    Args:
        seed: Advanced by the draw.
        batch: Number of images.

    Returns:
        Boolean `(batch,)`, true with probability 1/2.
    """
    return keras.random.uniform((batch,), seed=seed) < 0.5


def apply(images, draws: Draws):
    """Shifts, flips and adds noise, in this order.

    Args:
        images: Float `(batch, height, width, channels)`.
        draws: For the same batch.

    Returns:
        Float of the same shape.
    """
    images = shift(images, draws.shift)
    if draws.flip is not None:
        images = flip(images, draws.flip)
    return images + ops.cast(draws.noise, images.dtype)


def shift(images, pixels):
    """Moves each image by whole pixels; the uncovered edge mirrors what is beside it.

    The fill repeats the edge pixel first (`b a | a b c | c b`), SciPy's `reflect`.

    Args:
        images: `(batch, height, width, channels)`, any dtype.
        pixels: int32 `(batch, 2)`: down and to the right; at most the side.

    Returns:
        Images of the same shape and dtype.
    """
    _, height, width, _ = images.shape
    rows = _mirrored(ops.arange(height)[None] - pixels[:, :1], height)
    columns = _mirrored(ops.arange(width)[None] - pixels[:, 1:], width)
    images = ops.take_along_axis(images, rows[:, :, None, None], axis=1)
    return ops.take_along_axis(images, columns[:, None, :, None], axis=2)


def _mirrored(position, size: int):
    """Positions outside [0, size) reflected at the edge, the edge itself repeated."""
    position = ops.where(position < 0, -position - 1, position)
    return ops.where(position >= size, 2 * size - 1 - position, position)


def flip(images, chosen):
    """Flips the chosen images left-right.

    Args:
        images: `(batch, height, width, channels)`.
        chosen: Boolean `(batch,)`.

    Returns:
        Images of the same shape.
    """
    return ops.where(chosen[:, None, None, None], ops.flip(images, axis=2), images)
