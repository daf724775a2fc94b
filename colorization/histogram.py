"""A colorizer that predicts histograms of hue and chroma, and decodes them.

Larsson et al. 2016 (https://arxiv.org/abs/1603.06668). Differs from the paper: the
encoder is that of the other networks of `colorization.networks`, not VGG-16, and
hypercolumns are computed at all positions, at half the resolution of the image.
"""

import typing

import keras
from keras import layers, ops

from colorization import hue_chroma, lab

Tensor = typing.Any

# Number of units of the hidden layer, whose input is the hypercolumns. The published
# network, with VGG-16, has 1,024.
UNITS = 256


def hypercolumn_logits(maps: list[keras.KerasTensor], units: int) -> keras.KerasTensor:
    """Returns the logits of hue and chroma for each position of the first map.

    Args:
        maps: Feature maps `(batch, rows, columns, channels)`, each with half the
            resolution of the one before.
        units: Number of units of the hidden layer.

    Returns:
        `(batch, 2 * rows, 2 * columns, 2 * bins)`; hue first. Each 2x2 block of
        positions has the same logits.
    """
    same = [maps[0]]
    for number, features in enumerate(maps[1:], start=1):
        enlarge = layers.UpSampling2D(
            2**number, interpolation="bilinear", name=f"enlarged_{number}"
        )
        same.append(enlarge(features))
    columns = layers.Concatenate(name="hypercolumn")(same)
    hidden = layers.Conv2D(units, 1, activation="relu", name="hidden")(columns)
    logits = layers.Conv2D(2 * hue_chroma.BINS, 1, name="logits_half")(hidden)
    return layers.UpSampling2D(2, name="logits")(logits)


def decoded(lightness: Tensor, logits: Tensor) -> Tensor:
    """Returns the colours a* and b* of histograms.

    Args:
        lightness: `(batch, height, width, 1)` in [-1, 1].
        logits: `(batch, height, width, 2 * bins)`; hue first.

    Returns:
        a* and b* divided by 127, float32 `(batch, height, width, 2)`.
    """
    hue, chroma = (ops.softmax(part) for part in ops.split(logits, 2, axis=-1))
    none = ops.zeros_like(lightness)
    grey = lab.lab_to_rgb(ops.concatenate([50 * (lightness + 1), none, none], axis=-1))
    images = hue_chroma.rgb(*hue_chroma.decode(hue, chroma), grey[..., 0])
    return lab.rgb_to_lab(images)[..., 1:] / 127


@keras.saving.register_keras_serializable(package="colorization")
class Decoded(layers.Layer):
    """A layer that maps lightness and logits of histograms to the colours a* and b*."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Returns `decoded(lightness, logits)`.

        Args:
            inputs: The list `[lightness, logits]`.
        """
        return decoded(*inputs)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        """Returns the shape of the lightness, with two channels instead of one."""
        return (*input_shape[0][:-1], 2)


def loss(images: Tensor, logits: Tensor) -> Tensor:
    """Returns the mean loss over all pixels, in nats.

    Args:
        images: uint8 `(batch, height, width, 3)`, sRGB.
        logits: Float `(batch, height, width, 2 * bins)`.
    """
    scaled = ops.cast(images, "float32") / 255
    hue, chroma, lightness = hue_chroma.hue_chroma(scaled)
    hue_logits, chroma_logits = ops.split(logits, 2, axis=-1)
    losses = hue_chroma.site_losses(
        (hue_chroma.histograms(hue), hue_logits),
        (hue_chroma.histograms(chroma), chroma_logits),
        chroma,
        lightness,
    )
    return ops.mean(losses)
