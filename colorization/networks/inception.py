"""Inception-ResNet-v2 as a frozen embedding of the grey image.

Szegedy et al. 2016, https://arxiv.org/abs/1602.07261, as keras.applications has
it; deep-koalarization takes its logits, not the pooled features.

Differs from deep-koalarization: the grey image is the lightness L' itself
(replicated to three channels, in [-1, 1]), so that a colorizer needs one input
only, and images are stretched to a square instead of padded to it.
"""

import pathlib

import keras
from keras import layers

from color_s4l.errors import InputError

FEATURES = 1000  # the logits
_SMALLEST = 75  # below, Inception-ResNet-v2's valid convolutions run out of pixels


class CustomScaleLayer(keras.layers.Layer):
    """First input plus scaled second: the residual sum of Inception-ResNet.

    Equal in name, configuration and result to the layer of keras.applications,
    which is not public; files name it, so loading needs it.
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
        """The layer's configuration, `scale` included."""
        return {**super().get_config(), "scale": self.scale}

    def call(self, inputs: list) -> object:
        """The sum, of the inputs' own shape."""
        return inputs[0] + inputs[1] * self.scale


def _inception(size: int, weights: str | None) -> keras.Model:
    return keras.applications.InceptionResNetV2(
        weights=weights, input_shape=(size, size, 3), classifier_activation=None
    )


def _download() -> keras.Model:
    try:
        # Keras gives the published weights at the published size only.
        return _inception(299, "imagenet")
    except Exception as error:  # Keras raises a plain Exception for a failed download
        raise InputError(
            "The ImageNet weights of Inception-ResNet-v2 could not be downloaded "
            f"({' '.join(str(error).split())[:200]}). Give a weights file "
            "(--embedding_weights=PATH) or none (--embedding_weights=none)."
        ) from error


def _load(network: keras.Model, path: str) -> None:
    if not pathlib.Path(path).is_file():
        raise InputError(
            "Expected --embedding_weights to be imagenet, none or a file of weights. "
            f"Received: {path!r}, which does not exist."
        )
    try:
        network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path!r} holds no weights of Keras' InceptionResNetV2 with its "
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
        weights: "imagenet" (downloaded by Keras), "none" (random, from Keras'
            global seed) or the path of a weights file.
        size: Side in pixels to which the lightness is resized, at least 75. 299
            is the published one; 75 is 20 times cheaper.

    Returns:
        A frozen model: lightness `(batch, height, width, 1)` in [-1, 1] to
        logits `(batch, 1000)`.

    Raises:
        InputError: The size is below 75, or the weights could not be had.
    """
    if size < _SMALLEST:
        raise InputError(
            f"Expected an embedding size of at least {_SMALLEST} px. Received: {size}."
        )
    lightness = keras.Input((None, None, 1), name="lightness")
    square = layers.Resizing(size, size, name="square")(lightness)
    gray = layers.Concatenate(name="gray")([square, square, square])
    network = _weighted(size, weights)
    embedder = keras.Model(lightness, network(gray), name="embedding")
    embedder.trainable = False
    return embedder
