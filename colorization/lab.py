"""CIE L*a*b*: lightness, the input of the networks, and colours, their output.

sRGB (IEC 61966-2-1) and CIE 1976 L*a*b* under D65 with the 2-degree observer:
the constants of scikit-image's `rgb2lab`, which the published colorizers used.
"""

import typing

import keras
from keras import ops

Tensor = typing.Any  # an array or tensor of the backend; Keras defines no type for it

# Scaling of the networks' inputs and outputs, recorded in a colorizer's file.
SCALING = "lab: L/50-1, ab/127"

# Columns of the linear-sRGB-to-XYZ matrix: contributions of red, green and blue.
_TO_XYZ = (
    (0.412453, 0.212671, 0.019334),
    (0.357580, 0.715160, 0.119193),
    (0.180423, 0.072169, 0.950227),
)
# Columns of its inverse: contributions of X, Y and Z.
_FROM_XYZ = (
    (3.24048134, -0.96925495, 0.05564664),
    (-1.53715152, 1.87599000, -0.20404134),
    (-0.49853633, 0.04155593, 1.05731107),
)
_WHITE = (0.95047, 1.0, 1.08883)  # X, Y, Z of D65
_LINEAR_BELOW = 0.008856  # CIE: below this ratio a line replaces the cube root
_SLOPE, _OFFSET = 7.787, 16 / 116


def _tensor(values: tuple[float, ...]) -> Tensor:
    return ops.convert_to_tensor(values, dtype="float32")


def _mix(channels: Tensor, columns: tuple[tuple[float, ...], ...]) -> Tensor:
    """Applies a 3x3 matrix to the last axis, in full precision.

    Written as sums, because a matrix product may be rounded to TF32 on a GPU. This
    would change a*b* by whole units.
    """
    first, second, third = (_tensor(column) for column in columns)
    return (
        channels[..., 0:1] * first
        + channels[..., 1:2] * second
        + channels[..., 2:3] * third
    )


def _linear(images: Tensor) -> Tensor:
    """Converts sRGB to linear RGB, both in [0, 1]."""
    curve = ops.power((ops.maximum(images, 0.04045) + 0.055) / 1.055, 2.4)
    return ops.where(images > 0.04045, curve, images / 12.92)


def _gamma(linear: Tensor) -> Tensor:
    """Converts linear RGB to sRGB; values outside [0, 1] stay outside."""
    curve = 1.055 * ops.power(ops.maximum(linear, 0.0031308), 1 / 2.4) - 0.055
    return ops.where(linear > 0.0031308, curve, linear * 12.92)


def rgb_to_lab(images: Tensor) -> Tensor:
    """Converts sRGB to L*a*b*.

    Args:
        images: Float `(..., 3)` in [0, 1].

    Returns:
        Float32 `(..., 3)`: L* in [0, 100]; a* in [-87, 99] and b* in [-108, 95], the
        gamut of sRGB.
    """
    ratio = _mix(_linear(images), _TO_XYZ) / _tensor(_WHITE)
    root = ops.power(ops.maximum(ratio, _LINEAR_BELOW), 1 / 3)
    bent = ops.where(ratio > _LINEAR_BELOW, root, _SLOPE * ratio + _OFFSET)
    x, y, z = bent[..., 0:1], bent[..., 1:2], bent[..., 2:3]
    return ops.concatenate([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(colors: Tensor) -> Tensor:
    """Converts L*a*b* to sRGB; the inverse of `rgb_to_lab`.

    Args:
        colors: Float `(..., 3)`: L* in [0, 100], a* and b* in any range.

    Returns:
        Float32 `(..., 3)` in [0, 1]; colours outside the gamut of sRGB are clipped.
    """
    y = (colors[..., 0:1] + 16) / 116
    x = y + colors[..., 1:2] / 500
    z = ops.maximum(y - colors[..., 2:3] / 200, 0.0)
    bent = ops.concatenate([x, y, z], axis=-1)
    line = (bent - _OFFSET) / _SLOPE
    ratio = ops.where(bent > 0.2068966, ops.power(bent, 3), line)
    return ops.clip(_gamma(_mix(ratio * _tensor(_WHITE), _FROM_XYZ)), 0.0, 1.0)


def split(images: Tensor) -> tuple[Tensor, Tensor]:
    """Splits images into lightness and colours.

    Scaled as in deep-koalarization (Baldassarre et al. 2017,
    https://arxiv.org/abs/1712.03400): L' = 2 L*/100 - 1, ab' = ab/127.

    Args:
        images: uint8 `(..., 3)`, sRGB; may be symbolic.

    Returns:
        Lightness, float32 `(..., 1)`, and colours a*, b*, float32 `(..., 2)`,
        both in [-1, 1].
    """
    scaled = rgb_to_lab(ops.cast(images, "float32") / 255.0)
    return scaled[..., 0:1] / 50.0 - 1.0, scaled[..., 1:3] / 127.0


def join(lightness: Tensor, colors: Tensor) -> Tensor:
    """Joins lightness and colours; the inverse of `split`.

    Args:
        lightness: Float `(..., 1)` in [-1, 1].
        colors: Float `(..., 2)` in [-1, 1].

    Returns:
        uint8 `(..., 3)`, sRGB.
    """
    scales = [50.0 * (lightness + 1.0), 127.0 * colors]
    images = lab_to_rgb(ops.concatenate(scales, axis=-1))
    return ops.cast(ops.round(255.0 * images), "uint8")


def image_input() -> keras.KerasTensor:
    """Returns a symbolic batch of images of any size, uint8 `(batch, h, w, 3)`."""
    return keras.Input((None, None, 3), dtype="uint8", name="images")
