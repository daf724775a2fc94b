"""Inception-ResNet-v2 as a frozen embedding of grey images, cached on disk.

Szegedy et al. 2016, https://arxiv.org/abs/1602.07261, in the version of
keras.applications. As in deep-koalarization, the embedding is the logits, not the
pooled features.

There are two differences from deep-koalarization. The grey image is the lightness in
[-1, 1] (see `lab.split`), repeated in three channels; a colorizer therefore has only
one input. Images are stretched to a square instead of being padded.

The embedding of an image never changes, and computing the embeddings takes longer than
an epoch of the colorizer (6.7 images/s at 299 px on 2 CPU cores). Each embedding is
therefore computed once.
"""

import pathlib

import keras
import numpy as np
from keras import layers

from color_s4l.artifacts import cache
from color_s4l.errors import InputError
from colorization import lab

FEATURES = 1000  # number of logits, the length of an embedding
NAME = "embedding"  # name of the model that `build` returns
# Smallest side in pixels. Convolutions without padding shrink the feature maps of
# smaller images to nothing.
_SMALLEST = 75
_BATCH_SIZE = 32


class CustomScaleLayer(keras.layers.Layer):
    """A layer for the residual sum of Inception-ResNet: x[0] + scale * x[1].

    It has the same name, configuration and result as the layer of keras.applications,
    which is not public. Model files contain its name, so loading them needs this class.

    Args:
        scale: Factor on the second input.
        name: Name of the layer.
        trainable: As in `keras.layers.Layer`; this layer has no weights.
        dtype: As in `keras.layers.Layer`.
    """

    def __init__(
        self,
        scale: float,
        name: str | None = None,
        trainable: bool = True,
        dtype: object = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.scale = scale

    def get_config(self) -> dict:
        """Returns the layer's configuration, `scale` included."""
        return {**super().get_config(), "scale": self.scale}

    def call(self, inputs: list) -> lab.Tensor:
        """Returns the sum, with the shape of the inputs."""
        return inputs[0] + inputs[1] * self.scale


def _inception(size: int, weights: str | None) -> keras.Model:
    return keras.applications.InceptionResNetV2(
        weights=weights, input_shape=(size, size, 3), classifier_activation=None
    )


def _download() -> keras.Model:
    try:
        # Keras offers the published weights at the published size only.
        return _inception(299, "imagenet")
    except Exception as error:  # Keras raises a plain Exception for a failed download
        raise InputError(
            "The ImageNet weights of Inception-ResNet-v2 could not be downloaded "
            f"({' '.join(str(error).split())[:200]}). Repeat the command with "
            "internet access, or train with `embedding_weights` set to a weights file, "
            "or to none for random weights."
        ) from error


def _load(network: keras.Model, path: str) -> None:
    if not pathlib.Path(path).is_file():
        raise InputError(
            "Expected `embedding_weights` to be imagenet, none or a weights file. "
            f"Received: {path!r}, which does not exist."
        )
    try:
        network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path!r} does not contain weights of Keras' InceptionResNetV2 with "
            f"{FEATURES} classes ({' '.join(str(error).split())[:200]})."
        ) from error


def _weighted(size: int, weights: str) -> keras.Model:
    network = _inception(size, None)
    if weights == "imagenet":
        network.set_weights(_download().get_weights())
    elif weights != "none":
        _load(network, weights)
    return network


def build(weights: str, size: int) -> keras.Model:
    """Builds the embedder.

    Args:
        weights: "imagenet" (downloaded by Keras), "none" (random, from Keras' global
            seed) or the path of a weights file.
        size: Side in pixels to which the lightness is resized, at least 75. The
            published side is 299; 75 is 20 times cheaper.

    Returns:
        A frozen model: lightness `(batch, height, width, 1)` in [-1, 1] to logits
        `(batch, 1000)`.

    Raises:
        InputError: The size is below 75, or the weights cannot be loaded.
    """
    if size < _SMALLEST:
        raise InputError(
            f"Expected an `embedding_size` of at least {_SMALLEST}. Received: {size}."
        )
    lightness = keras.Input((None, None, 1), name="lightness")
    square = layers.Resizing(size, size, name="square")(lightness)
    gray = layers.Concatenate(name="gray")([square, square, square])
    network = _weighted(size, weights)
    embedder = keras.Model(lightness, network(gray), name=NAME)
    embedder.trainable = False
    return embedder


def compute(embedder: keras.Model, images: np.ndarray, verbosity: int) -> np.ndarray:
    """Embeds images.

    Args:
        embedder: A model from `build`.
        images: uint8 `(n, height, width, 3)`, sRGB.
        verbosity: As in Keras: 0 silent, 1 progress bar, 2 one line.

    Returns:
        Float32 `(n, features)`.
    """
    inputs = lab.image_input()
    model = keras.Model(inputs, embedder(lab.split(inputs)[0]))
    return model.predict(images, batch_size=_BATCH_SIZE, verbose=verbosity)


def cached(embedder: keras.Model, images: np.ndarray, verbosity: int = 0) -> np.ndarray:
    """Embeds images, or reads their embeddings from the cache.

    Args:
        embedder: A model from `build`.
        images: uint8 `(n, height, width, 3)`, sRGB.
        verbosity: As in Keras: 0 silent, 1 progress bar, 2 one line.

    Returns:
        Float32 `(n, features)`.
    """
    side = str(embedder.get_layer("square").height)
    weights = [keras.ops.convert_to_numpy(weight) for weight in embedder.weights]
    return cache.cached(
        "embeddings",
        [side, images, *weights],
        lambda: {"values": compute(embedder, images, verbosity)},
    )["values"]
