"""deep-koalarization: what the image shows is fused into the encoder's features.

Baldassarre et al. 2017, https://arxiv.org/abs/1712.03400, section 3: the
embedding by Inception-ResNet-v2 is put beside the features of every place, and a
1x1 convolution with ReLU fuses them. 6,573,794 trained parameters at width 1.

Differs from the paper: 1,000 logits instead of slim's 1,001 (Keras' classifier
has no background class).
"""

import keras
from keras import layers

from colorization.networks import blocks, inception
from colorization.networks.parts import Parts, Shape

_DECODER = (128, blocks.UP, 64, 64, blocks.UP, 32)
_FUSED = 256


def _fuse(
    features: keras.KerasTensor, embedding: keras.KerasTensor, width: float
) -> keras.KerasTensor:
    """The 1x1 convolution of features and tiled embedding, side by side.

    Computed as a sum: a 1x1 convolution of a tiled vector is the same number at
    every place, so one dense layer gives it, and no tile of 1,000 channels is
    made. Both halves draw from the distribution that the joint kernel has.
    """
    filters = blocks.scaled(_FUSED, width)
    joint = features.shape[-1] + embedding.shape[-1] + filters
    limit = (6 / joint) ** 0.5  # Glorot and Bengio 2010, of the joint kernel
    uniform = keras.initializers.RandomUniform(-limit, limit)
    here = layers.Conv2D(filters, 1, kernel_initializer=uniform, name="fuse_features")
    # A clone: an initialiser that is used twice would give the same draws.
    everywhere = layers.Dense(
        filters,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        name="fuse_embedding",
    )
    tile = layers.Reshape((1, 1, filters), name="everywhere")(everywhere(embedding))
    total = layers.Add(name="fuse")([here(features), tile])
    return layers.Activation("relu", name="fused")(total)


def _trained(width: float) -> keras.Model:
    lightness = blocks.lightness_input()
    embedding = keras.Input((inception.FEATURES,), name="embedding")
    features = _fuse(blocks.encode(lightness, width), embedding, width)
    colors = blocks.decode(features, _DECODER, width)
    return keras.Model([lightness, embedding], colors, name="colorize")


def build(shape: Shape) -> Parts:
    """Builds the network.

    Args:
        shape: All its fields are read.

    Returns:
        The network; the whole contains Inception-ResNet-v2 (55.9 M weights).

    Raises:
        InputError: Inception's weights could not be had, or its size is below 75.
    """
    embedder = inception.build(shape.embedding_weights, shape.embedding_size)
    trained = _trained(shape.width)
    lightness = blocks.lightness_input()
    colors = trained([lightness, embedder(lightness)])
    whole = keras.Model(lightness, colors, name="inception_fusion")
    return Parts(whole=whole, trained=trained, embedder=embedder)
