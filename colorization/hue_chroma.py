"""Hue, chroma and lightness; histograms of hue and chroma, and colours from them.

The targets of Larsson et al. 2016 (https://arxiv.org/abs/1603.06668) and 2017
(https://arxiv.org/abs/1703.04044), with the constants of the published code
(gustavla/autocolorize).
"""

import math
import typing

from keras import ops

Tensor = typing.Any

BINS = 32
# Weight of the hue's divergence, which is also multiplied by the chroma.
HUE_WEIGHT = 5.0
# Length of the mean hue vector below which the chroma is reduced (see `decode`). It is
# 32 * 0.03: the published code divides the vector by 32 and compares it with 0.03.
FADING = 0.96


def hue_chroma(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns hue, chroma and lightness of sRGB images.

    Args:
        images: Float `(..., 3)` in [0, 1].

    Returns:
        Three arrays, float `(...)`. Hue: the hue of HSV divided by 360 degrees, in
        [0, 1), 0 for grey. Chroma: largest minus smallest channel, in [0, 1].
        Lightness: the mean of the channels, in [0, 1].
    """
    red, green, blue = images[..., 0], images[..., 1], images[..., 2]
    largest = ops.max(images, axis=-1)
    chroma = largest - ops.min(images, axis=-1)
    divisor = ops.where(chroma > 0, chroma, 1.0)
    sixth = ops.where(
        largest == red,
        (green - blue) / divisor,
        ops.where(
            largest == green, (blue - red) / divisor + 2, (red - green) / divisor + 4
        ),
    )
    hue = ops.mod(sixth / 6, 1.0)
    hue = ops.where((chroma > 0) & (hue < 1), hue, 0.0)  # the remainder may round to 1
    return hue, chroma, ops.mean(images, axis=-1)


def rgb(hue: Tensor, chroma: Tensor, lightness: Tensor) -> Tensor:
    """Returns sRGB images; the inverse of `hue_chroma`.

    Colours outside the gamut are clipped. Differs from the published code, which clips
    twice: it computes approximate colours and clips them, then it corrects their
    lightness and clips again.

    Args:
        hue: Float `(...)` in [0, 1).
        chroma: Float `(...)` in [0, 1].
        lightness: Float `(...)` in [0, 1].

    Returns:
        Float `(..., 3)` in [0, 1].
    """
    channels = []
    for offset in (5, 3, 1):
        position = ops.mod(offset + 6 * hue, 6.0)
        below = ops.clip(ops.minimum(position, 4 - position), 0.0, 1.0)
        channels.append(-chroma * below)
    colors = ops.stack(channels, axis=-1)
    mean = ops.mean(colors, axis=-1)
    return ops.clip(colors + (lightness - mean)[..., None], 0.0, 1.0)


def bin_of(values: Tensor, bins: int = BINS) -> Tensor:
    """Returns the histogram bin of values in [0, 1], int32 of the same shape."""
    return ops.clip(ops.cast(ops.floor(values * bins), "int32"), 0, bins - 1)


def histograms(values: Tensor, bins: int = BINS, window: int = 1) -> Tensor:
    """Returns the histogram of a window around each pixel.

    Args:
        values: Float `(batch, height, width)` in [0, 1]; any shape if `window` is 1.
        bins: Number of bins.
        window: Side of the window in pixels, odd. Parts of the window outside the image
            are not counted.

    Returns:
        Float32 `(..., bins)`, where `(...)` is the shape of `values`. The numbers of a
        histogram add up to 1.
    """
    single = ops.one_hot(bin_of(values, bins), bins, dtype="float32")
    if window == 1:
        return single
    return ops.average_pool(single, window, strides=1, padding="same")


def divergence(target: Tensor, logits: Tensor) -> Tensor:
    """Returns KL(target || softmax(logits)) in nats, float `(...)`.

    Args:
        target: Probabilities `(..., bins)`.
        logits: Float `(..., bins)`.
    """
    known = ops.where(target > 0, ops.log(ops.maximum(target, 1e-30)), 0.0)
    return ops.sum(target * (known - ops.log_softmax(logits)), axis=-1)


def site_losses(
    hue: tuple[Tensor, Tensor],
    chroma: tuple[Tensor, Tensor],
    true_chroma: Tensor,
    lightness: Tensor,
    hue_weight: float = HUE_WEIGHT,
) -> Tensor:
    """Returns the loss at each site (position in the image), in nats.

    The divergence of chroma is multiplied by min(1, 3 min(L, 1 - L)), so that it counts
    less for very dark and very bright sites; the divergence of hue is multiplied by
    `hue_weight` and the chroma, so that it does not count for grey sites.

    Args:
        hue: Target histograms of the hue and their logits, `(..., bins)` each.
        chroma: Target histograms of the chroma and their logits, `(..., bins)` each.
        true_chroma: Chroma of the sites, `(...)`.
        lightness: Lightness L of the sites, `(...)`.
        hue_weight: Factor on the divergence of hue.

    Returns:
        Float `(...)`, at least 0.
    """
    certain = ops.minimum(1.0, 3 * ops.minimum(lightness, 1 - lightness))
    colored = hue_weight * true_chroma * divergence(*hue)
    return certain * divergence(*chroma) + colored


def decode(hue: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
    """Returns one hue and one chroma for each pair of histograms.

    The hue is the circular mean, that is, the direction of the mean hue vector. The
    chroma is the centre of the median bin, multiplied by min(1, length / 0.96), where
    `length` is the length of the mean hue vector. The chroma is therefore small where
    the hue is uncertain ("chromatic fading").

    Args:
        hue: Probabilities `(..., bins)`.
        chroma: Probabilities `(..., bins)`.

    Returns:
        Hue in [0, 1) and chroma in [0, 1], float `(...)`.
    """
    bins = chroma.shape[-1]
    below = ops.cast(ops.cumsum(chroma, axis=-1) < 0.5, "float32")
    median = (ops.sum(below, axis=-1) + 0.5) / bins
    angles = 2 * math.pi * (ops.arange(bins, dtype="float32") + 0.5) / bins
    x, y = (ops.sum(hue * f(angles), axis=-1) for f in (ops.cos, ops.sin))
    length = ops.sqrt(ops.square(x) + ops.square(y))
    turned = ops.mod(ops.arctan2(y, x) / (2 * math.pi), 1.0)
    return ops.where(turned < 1, turned, 0.0), median * ops.minimum(length / FADING, 1)
