"""Eight crops of an image with changed colours, for exemplar learning.

Zhai et al. 2019 (S4L-Exemplar) and its published code, after Dosovitskiy et al.
2014: crops as of Inception (5 to 100 % of the area, sides in a ratio of 3/4 to 4/3,
enlarged to the image's size), left-right flips, and noise in hue, saturation and
value, drawn anew for each crop.
"""

import dataclasses
import typing

import keras
from keras import ops

from color_s4l.views import augmentation, sampling
from color_s4l.views.family import Family, View

COPIES = 8
SMALLEST_AREA = 0.05
RATIO = (3 / 4, 4 / 3)
# Added to the hue; exponent, factor (both powers of two) and addend of saturation
# and value.
HUE, POWER, FACTOR, ADDEND = 0.1, 2.0, 0.5, 0.1


class CropDraws(typing.NamedTuple):
    """What chance decided for eight crops of each image of a batch.

    Attributes:
        area: Float `(batch, 8)`: share of the image's.
        ratio: Float `(batch, 8)`: width by height, of a square image.
        place: Float `(batch, 8, 2)` in [0, 1): down and to the right, in shares of
            the room that is left.
        flip: Boolean `(batch, 8)`, or None.
        colors: Float `(batch, 8, 7)` in [-1, 1): hue; saturation's and value's
            exponents, factors and addends, in shares of the largest.
    """

    area: typing.Any
    ratio: typing.Any
    place: typing.Any
    flip: typing.Any
    colors: typing.Any


@dataclasses.dataclass(frozen=True)
class Crops(Family):
    """Eight crops of each image of a source, one image's after another.

    Attributes:
        name: Of the view.
        source: "labeled" or "unlabeled".
    """

    name: str = "crops"
    source: str = "unlabeled"

    def views(self):
        """The one view."""
        return {self.name: View(self.source, COPIES)}

    def draw(self, seed, shape, names):
        """Draws for each crop."""
        size = (shape[0], COPIES)
        flips = self.augmentation.flip
        return CropDraws(
            keras.random.uniform(size, SMALLEST_AREA, 1.0, seed=seed),
            keras.random.uniform(size, *RATIO, seed=seed),
            keras.random.uniform((*size, 2), seed=seed),
            keras.random.uniform(size, seed=seed) < 0.5 if flips else None,
            keras.random.uniform((*size, 7), -1.0, 1.0, seed=seed),
        )

    def apply(self, batch, draws, names):
        """Crops, flips and colours raw images, then preprocesses them."""
        images = ops.repeat(ops.cast(batch[self.source], "float32"), COPIES, axis=0)
        flat = CropDraws(*(None if d is None else _flat(d) for d in draws))
        return {self.name: self.preprocessing(crop(images, flat))}


def _flat(part):
    """`(batch, 8, ...)` to `(batch * 8, ...)`."""
    return ops.reshape(part, (-1, *part.shape[2:]))


def crop(images, draws: CropDraws):
    """One crop of each image.

    Args:
        images: Float `(batch, height, width, 3)` in [0, 255].
        draws: With `(batch, ...)` in place of `(batch, 8, ...)`.

    Returns:
        Float of the same shape, in [0, 255].
    """
    height = ops.minimum(ops.sqrt(draws.area / draws.ratio), 1)
    width = ops.minimum(ops.sqrt(draws.area * draws.ratio), 1)
    top, left = ((1 - s) * draws.place[:, i] for i, s in enumerate((height, width)))
    images = sampling.cropped(images, top, left, height, width)
    if draws.flip is not None:
        images = augmentation.flip(images, draws.flip)
    return recolored(images, draws.colors)


def recolored(images, colors):
    """Changes hue, saturation and value.

    Args:
        images: Float `(batch, height, width, 3)` in [0, 255].
        colors: Float `(batch, 7)`, as in `CropDraws`.

    Returns:
        Float of the same shape, in [0, 255].
    """
    colors = colors[:, None, None, :]
    hsv = ops.image.rgb_to_hsv(ops.clip(images / 255, 0, 1))
    # Floor in place of a remainder, which is 1 for the smallest negative numbers.
    hue = hsv[..., :1] + HUE * colors[..., :1]
    power = ops.power(2.0, POWER * colors[..., 1:3])
    factor = ops.power(2.0, FACTOR * colors[..., 3:5])
    rest = factor * ops.power(hsv[..., 1:], power) + ADDEND * colors[..., 5:]
    hsv = ops.concatenate([hue - ops.floor(hue), ops.clip(rest, 0, 1)], axis=-1)
    return 255 * ops.image.hsv_to_rgb(hsv)
