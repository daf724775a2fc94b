"""The colorization networks: lightness to colours.

All networks have the same encoder: 3x3 convolutions with ReLU, no normalisation, no
dropout, Keras' default initialisers. `encoder_decoder` and `inception_fusion` also have
the same blocks in the decoder, with nearest up-sampling. These are the blocks of
deep-koalarization (Baldassarre et al. 2017, https://arxiv.org/abs/1712.03400, table 1).

To add a network, write a function from `Shape` to `Parts` and add it to `NETWORKS`.
"""

import dataclasses
from collections.abc import Sequence

import keras
from keras import layers

from color_s4l.errors import unknown
from colorization import embedding, histogram

# Total stride of the encoder. A network's output has the size of its input if height
# and width are divisible by it.
STRIDE = 8
# Filters and stride of each convolution of the encoder.
ENCODER = (
    (64, 2),
    (128, 1),
    (128, 2),
    (256, 1),
    (256, 2),
    (512, 1),
    (512, 1),
    (256, 1),
)
# Filters of each convolution of the decoders; "up" doubles the resolution.
_UP = "up"
_PLAIN_DECODER = (256, 128, _UP, 64, 64, _UP, 32, 16)
_FUSION_DECODER = (128, _UP, 64, 64, _UP, 32)
_FUSED = 256  # filters of the fusion
TRAINED = "colorize"  # name of the trained part of `inception_fusion`


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of a network.

    Attributes:
        width: Factor on the numbers of filters; 1 is the published network.
        embedding_weights: `inception_fusion` only: "imagenet", "none" (random) or the
            path of a weights file.
        embedding_size: `inception_fusion` only: side in pixels of the input of
            Inception-ResNet-v2, at least 75.
    """

    width: float = 1.0
    embedding_weights: str = "imagenet"
    embedding_size: int = 299


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """A network as one model, and its trained and frozen parts.

    Attributes:
        whole: Maps lightness `(batch, height, width, 1)` to colours
            `(batch, height, width, 2)`, both in [-1, 1]; height and width are
            divisible by 8. A colorizer's file contains this model.
        trained: The part with trained weights. Its inputs are the lightness and, if
            there is an embedder, the embedder's output.
        histograms: Whether `trained` returns logits of histograms
            (`colorization.histogram`) instead of colours.
        embedder: The frozen part, which maps lightness to `(batch, features)`; None if
            the network has no frozen part.
    """

    whole: keras.Model
    trained: keras.Model
    embedder: keras.Model | None = None
    histograms: bool = False


def scaled(filters: int, width: float) -> int:
    """Returns the number of filters times the width factor, at least 1."""
    return max(1, round(filters * width))


def _convolution(
    filters: int, name: str, stride: int = 1, activation: str = "relu"
) -> layers.Layer:
    return layers.Conv2D(
        filters, 3, stride, padding="same", activation=activation, name=name
    )


def _lightness() -> keras.KerasTensor:
    return keras.Input((None, None, 1), name="lightness")


def _encode(lightness: keras.KerasTensor, width: float) -> keras.KerasTensor:
    """Applies the encoder; returns `(batch, rows / 8, columns / 8, 256 * width)`."""
    return _maps(lightness, width)[-1]


def _maps(lightness: keras.KerasTensor, width: float) -> list[keras.KerasTensor]:
    """Applies the encoder; returns its last maps at 1/2, 1/4 and 1/8 resolution."""
    features, maps = lightness, []
    for index, (filters, stride) in enumerate(ENCODER, start=1):
        if stride == 2 and index > 1:
            maps.append(features)
        name = f"encoder_{index}"
        features = _convolution(scaled(filters, width), name, stride)(features)
    return [*maps, features]


def _decode(
    features: keras.KerasTensor, steps: Sequence[int | str], width: float
) -> keras.KerasTensor:
    """Applies a decoder: its steps, a tanh convolution to a*b*, and an up-sampling.

    Args:
        features: `(batch, height / 8, width / 8, channels)`.
        steps: Numbers of filters, and `_UP` (twice) where the resolution doubles.
        width: Factor on the numbers of filters.

    Returns:
        Colours, `(batch, height, width, 2)` in [-1, 1], at half resolution: every 2x2
        block of pixels has one colour.
    """
    for index, step in enumerate(steps, start=1):
        name = f"decoder_{index}"
        if step == _UP:
            features = layers.UpSampling2D(2, name=name)(features)
        else:
            features = _convolution(scaled(int(step), width), name)(features)
    colors = _convolution(2, "colors_half", activation="tanh")(features)
    return layers.UpSampling2D(2, name="colors")(colors)


def encoder_decoder(shape: Shape) -> Parts:
    """Builds the colorizer of the Color-S4L report, without fusion and embedding.

    The report's figure 2 only shows the numbers of filters. The other values are
    inferred: strides, kernel sizes and activations are those of deep-koalarization; the
    figure's three decoder groups (256, 128 | 64, 64 | 32, 16, 2) are taken as the
    resolutions 1/8, 1/4 and 1/2, and its last "up-sample 2x2" as the step to the full
    resolution.
    The network has 6,846,418 parameters at width 1.

    Args:
        shape: Only `width` is read.

    Returns:
        The network; all its weights are trained.
    """
    lightness = _lightness()
    colors = _decode(_encode(lightness, shape.width), _PLAIN_DECODER, shape.width)
    network = keras.Model(lightness, colors, name="encoder_decoder")
    return Parts(whole=network, trained=network)


def _fuse(
    features: keras.KerasTensor, embedded: keras.KerasTensor, width: float
) -> keras.KerasTensor:
    """Applies a 1x1 convolution to the features and the tiled embedding together.

    A 1x1 convolution of a tiled vector has the same value everywhere, so it is computed
    by one dense layer and added. This saves a tile of 1,000 channels. Both kernels are
    drawn from the distribution of the joint kernel.
    """
    filters = scaled(_FUSED, width)
    joint = features.shape[-1] + embedded.shape[-1] + filters
    limit = (6 / joint) ** 0.5  # Glorot and Bengio 2010, for the joint kernel
    local = layers.Conv2D(
        filters,
        1,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        name="fuse_features",
    )
    # A separate initialiser, because an initialiser draws the same numbers each time.
    everywhere = layers.Dense(
        filters,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        name="fuse_embedding",
    )
    tile = layers.Reshape((1, 1, filters), name="everywhere")(everywhere(embedded))
    total = layers.Add(name="fuse")([local(features), tile])
    return layers.Activation("relu", name="fused")(total)


def _fusion(width: float) -> keras.Model:
    """Builds the trained part of `inception_fusion`."""
    lightness = _lightness()
    embedded = keras.Input((embedding.FEATURES,), name="embedding")
    features = _fuse(_encode(lightness, width), embedded, width)
    colors = _decode(features, _FUSION_DECODER, width)
    return keras.Model([lightness, embedded], colors, name=TRAINED)


def inception_fusion(shape: Shape) -> Parts:
    """Builds the network of deep-koalarization (section 3 of the paper).

    The embedding of the image by Inception-ResNet-v2 is concatenated to the features at
    every position, and a 1x1 convolution with ReLU fuses them. The network has
    6,573,794 trained parameters at width 1. Differs from the paper: 1,000 logits
    instead of 1,001, because Keras' classifier has no background class.

    Args:
        shape: All fields are read.

    Returns:
        The network; `whole` contains Inception-ResNet-v2 (55.9 M weights).

    Raises:
        InputError: Inception's weights cannot be loaded, or `embedding_size` is below
            75.
    """
    embedder = embedding.build(shape.embedding_weights, shape.embedding_size)
    return joined(_fusion(shape.width), embedder)


def joined(trained: keras.Model, embedder: keras.Model) -> Parts:
    """Joins the trained and the frozen part of `inception_fusion`.

    Args:
        trained: `Parts.trained`.
        embedder: `Parts.embedder`.
    """
    lightness = _lightness()
    colors = trained([lightness, embedder(lightness)])
    whole = keras.Model(lightness, colors, name="inception_fusion")
    return Parts(whole=whole, trained=trained, embedder=embedder)


def histogram_network(shape: Shape) -> Parts:
    """Builds the encoder with hypercolumns that predict histograms of hue and chroma.

    Larsson et al. 2016 (https://arxiv.org/abs/1603.06668), with another encoder.

    Args:
        shape: Only `width` is read.

    Returns:
        The network; all its weights are trained.
    """
    lightness = _lightness()
    maps = _maps(lightness, shape.width)
    units = scaled(histogram.UNITS, shape.width)
    logits = histogram.hypercolumn_logits(maps, units)
    colors = histogram.Decoded(name="colors")([lightness, logits])
    network = keras.Model(lightness, colors, name="histogram")
    trained = keras.Model(lightness, logits, name="histogram_logits")
    return Parts(whole=network, trained=trained, histograms=True)


NETWORKS = {
    "encoder_decoder": encoder_decoder,
    "inception_fusion": inception_fusion,
    "histogram": histogram_network,
}


def build(name: str, shape: Shape) -> Parts:
    """Builds a network by its name.

    The weights are random, except those of the frozen part of `inception_fusion`, which
    `Shape.embedding_weights` determines.

    Args:
        name: A key of `NETWORKS`.
        shape: The sizes of the network.

    Raises:
        InputError: There is no network of this name, or the frozen part cannot be built
            (see `inception_fusion`).
    """
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    return NETWORKS[name](shape)
