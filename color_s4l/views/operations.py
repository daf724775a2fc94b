"""Operations on the pixels of a batch of images.

The fourteen operations of RandAugment, with names, ranges and meaning as in the
published code of FixMatch and USB, which calls Pillow: values are whole numbers from 0
to 255, and each operation rounds as Pillow does. `identity` is the operation that does
nothing. Geometric operations (rotations, shears and translations) are given as
matrices, which `nearest` applies. `cropped` cuts out and enlarges parts of images.
"""

import math
import typing
from collections.abc import Callable

from keras import ops

from color_s4l.backend import Tensor


def nearest(images: Tensor, matrix: Tensor, fill: float = 0.0) -> Tensor:
    """Applies affine transformations with nearest-neighbour sampling.

    Args:
        images: Float `(batch, height, width, channels)`.
        matrix: Float `(batch, 6)`: output pixel (x, y) has the value of the input pixel
            at (m0 x + m1 y + m2, m3 x + m4 y + m5), in pixels from the middle of the
            image.
        fill: Value of output pixels whose input position is outside the image.

    Returns:
        Images of the same shape.
    """
    _, height, width, channels = images.shape
    x = (ops.arange(width, dtype="float32") + 0.5 - width / 2)[None, None, :]
    y = (ops.arange(height, dtype="float32") + 0.5 - height / 2)[None, :, None]
    # Reshaped, not indexed with None: TensorFlow 2.21's graph optimiser drops the new
    # axes if the indexed tensor is a slice of stacked tensors.
    m = [ops.reshape(matrix[:, i], (-1, 1, 1)) for i in range(6)]
    # 1e-4 is added so that a rounding error does not select the neighbouring pixel.
    columns = ops.floor(m[0] * x + m[1] * y + m[2] + width / 2 + 1e-4)
    rows = ops.floor(m[3] * x + m[4] * y + m[5] + height / 2 + 1e-4)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    origin = ops.clip(rows, 0, height - 1) * width + ops.clip(columns, 0, width - 1)
    origin = ops.reshape(ops.cast(origin, "int32"), (-1, height * width, 1))
    flat = ops.reshape(images, (-1, height * width, channels))
    moved = ops.reshape(ops.take_along_axis(flat, origin, axis=1), images.shape)
    return ops.where(inside[..., None], moved, fill)


def cropped(
    images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor
) -> Tensor:
    """Cuts out a part of each image and enlarges it bilinearly to the image's size.

    Args:
        images: Float `(batch, height, width, channels)`.
        top: Float `(batch,)`: upper edge of the part, as a share of the image's height.
        left: Float `(batch,)`: left edge of the part, as a share of the image's width.
        height: Float `(batch,)`: share of the image's height, in (0, 1].
        width: Float `(batch,)`: share of the image's width, in (0, 1].

    Returns:
        Images of the same shape.
    """
    rows = _weights(images.shape[1], top, height)
    columns = _weights(images.shape[2], left, width)
    halfway = ops.einsum("bij,bjkc->bikc", rows, images)
    return ops.einsum("blk,bikc->bilc", columns, halfway)


def _weights(size: int, start: Tensor, share: Tensor) -> Tensor:
    """Returns bilinear weights `(batch, new lines, old lines)` for rows or columns."""
    new = (ops.arange(size, dtype="float32") + 0.5) / size
    # Reshaped, not indexed with None, for the same reason as in `nearest`.
    start, share = (ops.reshape(part, (-1, 1)) for part in (start, share))
    place = (start + share * new) * size - 0.5
    place = ops.clip(place, 0, size - 1)
    old = ops.arange(size, dtype="float32")
    return ops.maximum(1 - ops.abs(place[:, :, None] - old), 0)


class Operation(typing.NamedTuple):
    """An operation of RandAugment with a value, drawn uniformly from a range.

    Attributes:
        low: Lower end of the range.
        high: Upper end of the range.
        pixels: Function from images and values `(batch,)` to images; None if the
            operation does not change pixel values.
        matrix: Function from values `(batch,)` and the side of the images to the matrix
            for `nearest`; None if the operation is not geometric.
    """

    low: float
    high: float
    pixels: Callable[[Tensor, Tensor], Tensor] | None = None
    matrix: Callable[[Tensor, int], Tensor] | None = None

    def value(self, position: Tensor) -> Tensor:
        """Returns the value at a position in [0, 1]: 0 is `low`, 1 is `high`."""
        return self.low + (self.high - self.low) * position


def _each(value: Tensor) -> Tensor:
    """Reshapes `(batch,)` to `(batch, 1, 1, 1)`, to multiply images."""
    return value[:, None, None, None]


def _blend(plain: Tensor, images: Tensor, share: Tensor) -> Tensor:
    """Interpolates from `plain` (share 0) to `images` (share 1) and rounds down."""
    return ops.floor(plain + _each(share) * (images - plain))


def _grey(images: Tensor) -> Tensor:
    """Returns the lightness as Pillow rounds it, `(batch, height, width, 1)`."""
    red, green, blue = ops.split(images, 3, axis=-1)
    return ops.floor((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536)


def brightness(images: Tensor, share: Tensor) -> Tensor:
    """Blends images with black."""
    return _blend(ops.zeros_like(images), images, share)


def color(images: Tensor, share: Tensor) -> Tensor:
    """Blends images with their grey versions."""
    return _blend(_grey(images), images, share)


def contrast(images: Tensor, share: Tensor) -> Tensor:
    """Blends each image with its mean lightness."""
    mean = ops.mean(_grey(images), axis=(1, 2, 3), keepdims=True)
    return _blend(ops.floor(mean + 0.5), images, share)


def sharpness(images: Tensor, share: Tensor) -> Tensor:
    """Blends images with their smoothed versions; edge pixels do not change."""
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


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keeps the highest `bits` bits of each value and sets the others to 0."""
    step = ops.power(2.0, 8 - ops.floor(bits))
    return ops.floor(images / _each(step)) * _each(step)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Inverts the values that are not below the threshold."""
    return ops.where(images < _each(threshold), images, 255 - images)


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretches the values of each channel to the range from 0 to 255."""
    low = ops.min(images, axis=(1, 2), keepdims=True)
    high = ops.max(images, axis=(1, 2), keepdims=True)
    width = ops.where(high > low, high - low, 1.0)
    # Pillow rounds down. 1e-3 is added so that a rounding error does not turn a whole
    # number into the next smaller one.
    stretched = ops.floor((images - low) * 255 / width + 1e-3)
    return ops.where(high > low, stretched, images)


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Equalises the histogram of each channel."""
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


def _matrix(x_x, x_y, x, y_x, y_y, y):
    """Returns matrices `(batch, 6)` for `nearest`.

    Each entry is a tensor `(batch,)` or an integer; at least one is a tensor.
    """
    parts = (x_x, x_y, x, y_x, y_y, y)
    zero = next(0 * part for part in parts if not isinstance(part, int))
    return ops.stack([zero + part for part in parts], axis=1)


def rotated(degrees: Tensor, size: int) -> Tensor:
    """Returns the matrix of a counter-clockwise rotation about the middle."""
    angle = -degrees * (math.pi / 180)
    cosine, sine = ops.cos(angle), ops.sin(angle)
    return _matrix(cosine, sine, 0, -sine, cosine, 0)


def sheared_x(share: Tensor, size: int) -> Tensor:
    """Returns the matrix of a shear along the rows; the first row does not move."""
    return _matrix(1, share, share * size / 2, 0, 1, 0)


def sheared_y(share: Tensor, size: int) -> Tensor:
    """Returns the matrix of a shear along columns; the first column does not move."""
    return _matrix(1, 0, 0, share, 1, share * size / 2)


def translated_x(share: Tensor, size: int) -> Tensor:
    """Returns the matrix of a translation along the rows by a share of the side."""
    return _matrix(1, 0, share * size, 0, 1, 0)


def translated_y(share: Tensor, size: int) -> Tensor:
    """Returns the matrix of a translation along the columns by a share of the side."""
    return _matrix(1, 0, 0, 0, 1, share * size)


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
