"""Strong views: RandAugment with Cutout, and crops with changed colours."""

import typing
from collections.abc import Callable

import keras
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.registry import register_view
from color_s4l.views import augmentation
from color_s4l.views.augmentation import Draws
from color_s4l.views.operations import OPERATIONS, cropped, nearest
from color_s4l.views.step import LABELED, UNLABELED, Arrays, Family, Seed, Shape

# Number of operations applied to an image.
CHOSEN = 3
# Number of images to which one operation is applied at a time.
CHUNK = 16
# Longest side of the grey square, as a share of the image's side.
LARGEST_SQUARE = 0.5
# The mean colour of CIFAR's images, as in the published code.
GREY = (125.0, 123.0, 114.0)

# Number of crops of an image.
COPIES = 8
SMALLEST_AREA = 0.05
# Range of width divided by height, for a crop of a square image.
RATIO = (3 / 4, 4 / 3)
# Largest changes of a colour. The hue is changed by up to HUE. Saturation and value are
# raised to a power from 2**-POWER to 2**POWER, multiplied by a factor from 2**-FACTOR
# to 2**FACTOR, and changed by up to ADDEND.
HUE, POWER, FACTOR, ADDEND = 0.1, 2.0, 0.5, 0.1


class StrongDraws(typing.NamedTuple):
    """The random draws of the strong view of a batch of images.

    Attributes:
        operations: int32 `(batch, 3)`: indices into `OPERATIONS`, applied in order.
        values: Float `(batch, 3)` in [0, 1): positions in the operations' ranges.
        square: Float `(batch, 3)` in [0, 1): row and column of the middle of the grey
            square, as shares of the side, and its side as a share of `LARGEST_SQUARE`.
        weak: Shift or crop, flip and noise. A crop is applied before the operations;
            shift, flip and noise are applied after the grey square.
    """

    operations: Tensor
    values: Tensor
    square: Tensor
    weak: Draws


@register_view("strong")
class Strong(Family):
    """An unlabelled image after RandAugment, Cutout and the weak augmentation.

    Sohn et al. 2020 (FixMatch), in the form of USB (Wang et al. 2022): three of the
    fourteen operations, each with a value uniform in its range; then a grey square with
    a side of up to half the image's side. Both are applied to raw images. A crop is
    made first, so that the square keeps its size. Differs from USB: shift and flip come
    last.
    """

    def draw(self, seed: Seed, shape: Shape) -> StrongDraws:
        """Draws three operations, their values, the square and a weak augmentation."""
        size = (shape[0], CHOSEN)
        return StrongDraws(
            keras.random.randint(size, 0, len(OPERATIONS), dtype="int32", seed=seed),
            keras.random.uniform(size, seed=seed),
            keras.random.uniform((shape[0], 3), seed=seed),
            self.augmentation.draw(seed, shape),
        )

    def apply(self, batch: Arrays, draws: StrongDraws) -> Arrays:
        """Changes the raw images, then augments them like a weak view."""
        images, weak = batch[UNLABELED], draws.weak
        if weak.box is not None:
            images = augmentation.crop(ops.cast(images, "float32"), weak.box)
            # The operations expect whole numbers.
            images, weak = ops.round(images), weak._replace(box=None)
        images = randaugment(images, draws.operations, draws.values)
        return {self.name: self.augmented(cutout(images, draws.square), weak)}


def randaugment(images: Tensor, operations: Tensor, values: Tensor) -> Tensor:
    """Applies three operations to each image.

    Args:
        images: uint8, or float with whole numbers from 0 to 255,
            `(batch, height, width, 3)`.
        operations: int32 `(batch, 3)`, indices into `OPERATIONS`.
        values: Float `(batch, 3)` in [0, 1], positions in the operations' ranges.

    Returns:
        Float32 of the images' shape: whole numbers from 0 to 255.
    """
    images = ops.cast(images, "float32")
    for number in range(CHOSEN):
        images = _one_operation(images, operations[:, number], values[:, number])
    return images


def _one_operation(images: Tensor, chosen: Tensor, values: Tensor) -> Tensor:
    """Applies one operation to each image.

    The images are sorted by operation, so that each operation is computed for only few
    images that do not use it. For geometric operations only a matrix is selected, so
    that `nearest` runs once for all of them.
    """
    order = ops.argsort(chosen)
    images, chosen, values = (
        ops.take(part, order, axis=0) for part in (images, chosen, values)
    )
    identity = ops.cast(ops.stack([1, 0, 0, 0, 1, 0]), "float32")
    matrix = ops.ones_like(values)[:, None] * identity
    for index, operation in enumerate(OPERATIONS.values()):
        value = operation.value(values)
        if operation.matrix:
            moved = operation.matrix(value, images.shape[2])
            matrix = ops.where((chosen == index)[:, None], moved, matrix)
        elif operation.pixels:
            first = ops.sum(ops.cast(chosen < index, "int32"))
            last = ops.sum(ops.cast(chosen <= index, "int32"))
            images = _changed(images, value, operation.pixels, first, last)
    return ops.take(nearest(images, matrix), ops.argsort(order), axis=0)


def _changed(
    images: Tensor, values: Tensor, pixels: Callable, first: Tensor, last: Tensor
) -> Tensor:
    """Applies an operation to the images `first` ... `last - 1`, in chunks."""
    count = images.shape[0]
    size = min(CHUNK, count)

    def change(position, images):
        start = ops.minimum(position, count - size)
        corner = (start, 0, 0, 0)
        part = ops.slice(images, corner, (size, *images.shape[1:]))
        row = start + ops.arange(size, dtype="int32")
        here = ((row >= position) & (row < last))[:, None, None, None]
        new = pixels(part, ops.slice(values, (start,), (size,)))
        changed = ops.slice_update(images, corner, ops.where(here, new, part))
        return position + size, changed

    end = ops.while_loop(lambda position, _: position < last, change, (first, images))
    return end[1]


def cutout(images: Tensor, square: Tensor) -> Tensor:
    """Covers a square of each image with grey.

    Args:
        images: Float `(batch, height, width, 3)` in [0, 255].
        square: Float `(batch, 3)`, as in `StrongDraws`.

    Returns:
        Images of the same shape. A pixel is covered if its middle lies in the square;
        a part of the square can be outside the image.
    """
    _, height, width, _ = images.shape
    half = LARGEST_SQUARE * square[:, 2, None] / 2
    down = _covered(height, square[:, 0, None], half)
    right = _covered(width, square[:, 1, None], half)
    covered = down[:, :, None] & right[:, None, :]
    grey = ops.convert_to_tensor(GREY, images.dtype)
    return ops.where(covered[..., None], grey, images)


def _covered(size: int, middle: Tensor, half: Tensor) -> Tensor:
    """Returns whether the square covers each row or column, boolean `(batch, size)`."""
    position = (ops.arange(size, dtype="float32")[None] + 0.5) / size
    return ops.abs(position - middle) < half


class CropDraws(typing.NamedTuple):
    """The random draws of eight crops of each image of a batch.

    Attributes:
        area: Float `(batch, 8)`: share of the image's area.
        ratio: Float `(batch, 8)`: width divided by height, for a square image.
        place: Float `(batch, 8, 2)` in [0, 1): offset of the crop down and to the
            right, as a share of the free space.
        flip: Boolean `(batch, 8)`, or None: no crop is flipped.
        colors: Float `(batch, 8, 7)` in [-1, 1), as shares of the largest changes: 1
            for hue; 2 exponents, 2 factors and 2 addends for saturation and value.
    """

    area: Tensor
    ratio: Tensor
    place: Tensor
    flip: Tensor | None
    colors: Tensor


@register_view("crops")
class Crops(Family):
    """Eight crops of each image; the crops of one image are adjacent.

    Zhai et al. 2019 (S4L-Exemplar) and its published code, after Dosovitskiy et al.
    2014: Inception's crops (5 to 100 % of the area, sides in a ratio of 3/4 to 4/3,
    enlarged to the image's size), left-right flips, and changes of hue, saturation and
    value, all drawn for each crop.
    """

    copies = COPIES

    def draw(self, seed: Seed, shape: Shape) -> CropDraws:
        """Draws the values of each crop."""
        size = (shape[0], COPIES)
        flips = self.augmentation.flip
        return CropDraws(
            keras.random.uniform(size, SMALLEST_AREA, 1.0, seed=seed),
            keras.random.uniform(size, *RATIO, seed=seed),
            keras.random.uniform((*size, 2), seed=seed),
            keras.random.uniform(size, seed=seed) < 0.5 if flips else None,
            keras.random.uniform((*size, 7), -1.0, 1.0, seed=seed),
        )

    def apply(self, batch: Arrays, draws: CropDraws) -> Arrays:
        """Crops, flips and recolours raw images, then preprocesses them."""
        images = ops.repeat(ops.cast(batch[self.source], "float32"), COPIES, axis=0)
        # `(batch, 8, ...)` to `(batch * 8, ...)`.
        flat = CropDraws(
            *(d if d is None else ops.reshape(d, (-1, *d.shape[2:])) for d in draws)
        )
        return {self.name: self.preprocessing(crop(images, flat))}


@register_view("labeled_crops")
class LabeledCrops(Crops):
    """Eight crops of each labelled image."""

    source = LABELED


def crop(images: Tensor, draws: CropDraws) -> Tensor:
    """Returns one crop of each image.

    Args:
        images: Float `(batch, height, width, 3)` in [0, 255].
        draws: Draws for one crop of each image: arrays `(batch, ...)`.

    Returns:
        Float of the same shape, in [0, 255].
    """
    height = ops.minimum(ops.sqrt(draws.area / draws.ratio), 1)
    width = ops.minimum(ops.sqrt(draws.area * draws.ratio), 1)
    top, left = ((1 - s) * draws.place[:, i] for i, s in enumerate((height, width)))
    images = cropped(images, top, left, height, width)
    if draws.flip is not None:
        images = augmentation.flip(images, draws.flip)
    return recolored(images, draws.colors)


def recolored(images: Tensor, colors: Tensor) -> Tensor:
    """Changes hue, saturation and value.

    Args:
        images: Float `(batch, height, width, 3)` in [0, 255].
        colors: Float `(batch, 7)`, as in `CropDraws`.

    Returns:
        Float of the same shape, in [0, 255].
    """
    colors = colors[:, None, None, :]
    hsv = ops.image.rgb_to_hsv(ops.clip(images / 255, 0, 1))
    hue = hsv[..., :1] + HUE * colors[..., :1]
    power = ops.power(2.0, POWER * colors[..., 1:3])
    factor = ops.power(2.0, FACTOR * colors[..., 3:5])
    rest = factor * ops.power(hsv[..., 1:], power) + ADDEND * colors[..., 5:]
    # `hue - floor(hue)` instead of `hue % 1`, which is 1 for tiny negative numbers.
    hsv = ops.concatenate([hue - ops.floor(hue), ops.clip(rest, 0, 1)], axis=-1)
    return 255 * ops.image.hsv_to_rgb(hsv)
