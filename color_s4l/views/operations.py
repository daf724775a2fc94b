"""The fourteen operations of RandAugment, each on a whole batch at once.

Names, ranges and meaning as in the published code of FixMatch and USB, which call
Pillow: values are whole numbers from 0 to 255, and each operation rounds as Pillow
does. `identity` is the one of the fourteen that does nothing.
"""

import math
import typing
from collections.abc import Callable

from keras import ops


class Operation(typing.NamedTuple):
    """One operation and the range from which its value is drawn, uniformly.

    Attributes:
        low: Of the range.
        high: Of the range.
        pixels: Images and values `(batch,)` to images, or None.
        matrix: Values `(batch,)` and the images' side to where each pixel comes
            from, or None.
    """

    low: float
    high: float
    pixels: Callable | None = None
    matrix: Callable | None = None

    def value(self, place):
        """The value that stands at a place in [0, 1] of the range."""
        return self.low + (self.high - self.low) * place


def _each(value):
    """`(batch,)` to what multiplies images."""
    return value[:, None, None, None]


def _blend(plain, images, share):
    """From `plain` (share 0) to the image (share 1), fractions cut off."""
    return ops.floor(plain + _each(share) * (images - plain))


def _grey(images):
    """Lightness in Pillow's whole numbers, `(batch, height, width, 1)`."""
    red, green, blue = ops.split(images, 3, axis=-1)
    return ops.floor((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536)


def brightness(images, share):
    """Towards black."""
    return _blend(ops.zeros_like(images), images, share)


def color(images, share):
    """Towards grey."""
    return _blend(_grey(images), images, share)


def contrast(images, share):
    """Towards the mean of the image in grey."""
    mean = ops.mean(_grey(images), axis=(1, 2, 3), keepdims=True)
    return _blend(ops.floor(mean + 0.5), images, share)


def sharpness(images, share):
    """Towards the smoothed image; the edge stays as it is."""
    height, width = images.shape[1:3]
    inner = 4 * images[:, 1:-1, 1:-1]
    for row in range(3):
        for column in range(3):
            part = images[:, row : height - 2 + row, column : width - 2 + column]
            inner = inner + part
    smooth = ops.floor(inner / 13 + 0.5)
    changed = _blend(smooth, images[:, 1:-1, 1:-1], share)
    middle = ops.concatenate(
        [images[:, 1:-1, :1], changed, images[:, 1:-1, -1:]], axis=2
    )
    return ops.concatenate([images[:, :1], middle, images[:, -1:]], axis=1)


def posterize(images, bits):
    """Keeps the highest bits of each value."""
    step = ops.power(2.0, 8 - ops.floor(bits))
    return ops.floor(images / _each(step)) * _each(step)


def solarize(images, threshold):
    """Inverts values that reach the threshold."""
    return ops.where(images < _each(threshold), images, 255 - images)


def autocontrast(images, _):
    """Stretches each channel from its least to its greatest value, to 0 to 255."""
    low = ops.min(images, axis=(1, 2), keepdims=True)
    high = ops.max(images, axis=(1, 2), keepdims=True)
    width = ops.where(high > low, high - low, 1.0)
    # Pillow cuts off: a hair more, so that rounding does not push a whole number down.
    stretched = ops.floor((images - low) * 255 / width + 1e-3)
    return ops.where(high > low, stretched, images)


def equalize(images, _):
    """Makes each channel's values about equally frequent."""
    batch, height, width, channels = images.shape
    values = ops.transpose(ops.cast(images, "int32"), (0, 3, 1, 2))
    values = ops.reshape(values, (batch * channels, height * width))
    rows = batch * channels
    places = ops.reshape(values + 256 * ops.arange(rows)[:, None], (-1,))
    counts = ops.segment_sum(ops.ones_like(places), places, num_segments=256 * rows)
    counts = ops.reshape(counts, (rows, 256))
    last = ops.take_along_axis(counts, ops.max(values, axis=1, keepdims=True), axis=1)
    step = (height * width - last) // 255
    below = ops.cumsum(counts, axis=1) - counts
    table = (step // 2 + below) // ops.maximum(step, 1)
    found = ops.take_along_axis(ops.minimum(table, 255), values, axis=1)
    found = ops.where(step > 0, found, values)
    found = ops.reshape(found, (batch, channels, height, width))
    return ops.cast(ops.transpose(found, (0, 2, 3, 1)), images.dtype)


def _rows(x_x, x_y, x, y_x, y_y, y):
    """`(batch, 6)`: where a pixel comes from, in pixels from the middle."""
    given = (x_x, x_y, x, y_x, y_y, y)
    zero = next(0 * part for part in given if not isinstance(part, int))
    return ops.stack([zero + part for part in given], axis=1)


def rotated(degrees, size):
    """Counter-clockwise about the middle."""
    angle = -degrees * (math.pi / 180)
    cosine, sine = ops.cos(angle), ops.sin(angle)
    return _rows(cosine, sine, 0, -sine, cosine, 0)


def sheared_x(share, size):
    """Rows against each other, the first one staying where it is."""
    return _rows(1, share, share * size / 2, 0, 1, 0)


def sheared_y(share, size):
    """Columns against each other, the first one staying where it is."""
    return _rows(1, 0, 0, share, 1, share * size / 2)


def translated_x(share, size):
    """Along the rows, by a share of the side."""
    return _rows(1, 0, share * size, 0, 1, 0)


def translated_y(share, size):
    """Along the columns, by a share of the side."""
    return _rows(1, 0, 0, 0, 1, share * size)


OPERATIONS = {
    "autocontrast": Operation(0, 1, pixels=autocontrast),
    "brightness": Operation(0.05, 0.95, pixels=brightness),
    "color": Operation(0.05, 0.95, pixels=color),
    "contrast": Operation(0.05, 0.95, pixels=contrast),
    "equalize": Operation(0, 1, pixels=equalize),
    "identity": Operation(0, 1),
    "posterize": Operation(4, 8, pixels=posterize),
    "rotate": Operation(-30, 30, matrix=rotated),
    "sharpness": Operation(0.05, 0.95, pixels=sharpness),
    "shear_x": Operation(-0.3, 0.3, matrix=sheared_x),
    "shear_y": Operation(-0.3, 0.3, matrix=sheared_y),
    "solarize": Operation(0, 256, pixels=solarize),
    "translate_x": Operation(-0.3, 0.3, matrix=translated_x),
    "translate_y": Operation(-0.3, 0.3, matrix=translated_y),
}
