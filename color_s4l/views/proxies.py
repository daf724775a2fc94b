"""Proxy views: transformed unlabelled images; the proxy label is the transformation.

Tran 2019: rotations by multiples of 90 degrees (counter-clockwise) and two flips.
Chen 2020: the image with colours predicted from its lightness. Chen's report also tried
affine and translated images and found "huge fluctuations", but gives no numbers. Our
choice: an affine image is rotated by up to 30 degrees and sheared along both axes by up
to 0.3, like RandAugment's operations; a translated image is moved along both axes by 15
to 30 % of its side, which is more than the shift of the augmentation. Uncovered pixels
are 0, the mean of a preprocessed image.

A plug-in adds a proxy view with one function. The registered name can then be a task of
the term `proxies` (`--set=proxies.tasks=identity,negative`):

    @register_proxy("negative")
    @Proxy
    def negative(images):
        return -images
"""

import dataclasses
import typing
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.registry import PROXIES, register_proxy
from color_s4l.views.operations import (
    OPERATIONS,
    nearest,
    rotated,
    sheared_x,
    sheared_y,
    translated_x,
    translated_y,
)
from color_s4l.views.step import COLORIZED, UNLABELED, own_first

# Shares of the side by which a translated image is moved.
SHORTEST_MOVE, LONGEST_MOVE = 0.15, 0.3


@dataclasses.dataclass(frozen=True)
class Proxy:
    """A transformation of unlabelled images; the class can decorate the function.

    Attributes:
        function: Maps images, float `(batch, height, width, 3)`, to images of the same
            shape. If `sample` is given, the function's second argument is the random
            draws. In training the images are preprocessed; in `pictures` they are RGB
            in [0, 255].
        sample: Maps a SeedGenerator and the number of images to nested arrays of draws
            with first axis `batch`. None: the transformation is not random.
        moves_pixels: True: `function` only rearranges pixels and is applied to the
            augmented image. False: it is applied before shift and noise, so that the
            network cannot recognise the transformation by changed noise.
        source: Name of the images in the step batch.
    """

    function: Callable[..., Tensor]
    sample: Callable[[keras.random.SeedGenerator, int], typing.Any] | None = None
    moves_pixels: bool = False
    source: str = UNLABELED

    @classmethod
    def random(
        cls, sample: Callable[[keras.random.SeedGenerator, int], typing.Any]
    ) -> Callable[[Callable[..., Tensor]], "Proxy"]:
        """Returns a decorator for a function of images and draws.

        Args:
            sample: The attribute `sample` of the class.
        """
        return lambda function: cls(function, sample)

    @property
    def deterministic(self) -> bool:
        """Whether the view can be made from an image alone, without draws."""
        return self.sample is None and self.source == UNLABELED

    def draw(self, seed: keras.random.SeedGenerator, batch: int) -> typing.Any:
        """Returns the random draws for a batch of images, or None.

        Args:
            seed: SeedGenerator, advanced in place, if the transformation is random.
            batch: Number of images.
        """
        return None if self.sample is None else self.sample(seed, batch)

    def apply(self, images: Tensor, draws: typing.Any = None) -> Tensor:
        """Returns the transformed images.

        Args:
            images: `(batch, height, width, 3)`.
            draws: Result of `draw`.
        """
        if self.sample is None:
            return self.function(images)
        return self.function(images, draws)


def _rotated(quarters: int) -> Callable[[Tensor], Tensor]:
    # `ops.rot90` rotates axes (0, 1) by default; the axes of images are (1, 2).
    return lambda images: ops.rot90(images, quarters, axes=(1, 2))


def _flipped(axis: int) -> Callable[[Tensor], Tensor]:
    return lambda images: ops.flip(images, axis=axis)


# In the order of the published labels 0 to 5.
_GEOMETRIC: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda images: images,
    "rotated_90": _rotated(1),
    "rotated_180": _rotated(2),
    "rotated_270": _rotated(3),
    "flipped_left_right": _flipped(2),
    "flipped_up_down": _flipped(1),
}
GEOMETRIC = tuple(_GEOMETRIC)

for _name, _function in _GEOMETRIC.items():
    register_proxy(_name, Proxy(_function, moves_pixels=True))

# The images are colourised outside the training step; the step batch contains the
# results.
register_proxy(
    COLORIZED, Proxy(lambda images: images, moves_pixels=True, source=COLORIZED)
)


def _draw_affine(seed: keras.random.SeedGenerator, batch: int) -> Tensor:
    """Draws positions in [0, 1) in the ranges of the rotation and the two shears."""
    return keras.random.uniform((batch, 3), 0.0, 1.0, seed=seed)


@register_proxy("affine")
@Proxy.random(_draw_affine)
def affine(images: Tensor, positions: Tensor) -> Tensor:
    """Rotates images, then shears them along the rows and along the columns.

    Args:
        images: Float `(batch, height, width, 3)`.
        positions: Float `(batch, 3)` in [0, 1]: positions in the ranges of the three
            operations; 0.5 leaves the image unchanged.
    """
    movements = {"rotate": rotated, "shear_x": sheared_x, "shear_y": sheared_y}
    for number, (name, matrix_of) in enumerate(movements.items()):
        value = OPERATIONS[name].value(positions[:, number])
        images = nearest(images, matrix_of(value, images.shape[2]))
    return images


def _draw_translated(seed: keras.random.SeedGenerator, batch: int) -> Tensor:
    """Draws moves in [-1, 1) along the rows and along the columns."""
    return keras.random.uniform((batch, 2), -1.0, 1.0, seed=seed)


@register_proxy("translated")
@Proxy.random(_draw_translated)
def translated(images: Tensor, moves: Tensor) -> Tensor:
    """Moves images along the rows and along the columns.

    Args:
        images: Float `(batch, height, width, 3)`.
        moves: Float `(batch, 2)` in [-1, 1), along the rows and along the columns.
            Positive values move to the left and up. An absolute value of 0 is a move by
            `SHORTEST_MOVE` of the side, 1 by `LONGEST_MOVE`.

    Returns:
        Images of the same shape; uncovered pixels are 0.
    """
    lengths = SHORTEST_MOVE + (LONGEST_MOVE - SHORTEST_MOVE) * ops.abs(moves)
    shares = ops.where(moves < 0, -lengths, lengths)
    for axis, matrix_of in enumerate((translated_x, translated_y)):
        images = nearest(images, matrix_of(shares[:, axis], images.shape[2]))
    return images


def pictures(
    images: np.ndarray, tasks: Sequence[str], colorized: np.ndarray | None = None
) -> np.ndarray:
    """Returns the proxy views of raw images, for display.

    Args:
        images: uint8 `(m, height, width, 3)`.
        tasks: Names of proxy views.
        colorized: The colourised images, like `images`; needed for "colorized".

    Returns:
        uint8 `(m, len(tasks), height, width, 3)`. Random views are always drawn with
        the same seed.

    Raises:
        InputError: There is no proxy view with one of the names.
        ValueError: A task needs colourised images and `colorized` is None.
    """
    seed, made = keras.random.SeedGenerator(0), {}
    wanted = {name: PROXIES[name] for name in tasks}
    for name in [name for name in own_first(PROXIES) if name in wanted]:
        proxy = wanted[name]
        if proxy.source == COLORIZED:
            if colorized is None:
                raise ValueError(f"The view {name!r} needs the argument `colorized`.")
            made[name] = colorized
            continue
        draws = proxy.draw(seed, len(images))
        pixels = proxy.apply(ops.convert_to_tensor(images, "float32"), draws)
        pixels = np.clip(ops.convert_to_numpy(pixels), 0, 255)
        made[name] = pixels.astype("uint8")
    return np.stack([made[task] for task in tasks], axis=1)
