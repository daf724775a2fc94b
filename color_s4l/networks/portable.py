"""Copies of classifiers that are made of Keras' own layers only.

Keras opens the file of a copy without this library. The copy computes the same
probabilities, up to rounding. As in the original, its parts are the layers
"preprocessing", "trunk" and "class".
"""

import functools
import typing

import keras
from keras import layers

from color_s4l.backend import Tensor
from color_s4l.errors import InputError


def portable(model: keras.Model, resize: str | None = None) -> keras.Model:
    """Returns a copy of a model in which Keras' own layers replace all others.

    Args:
        model: A functional model in float32. A layer that is not Keras' own needs a
            method `portable(inputs)`, which applies Keras' own layers with the same
            result and the same weights.
        resize: "crop" or "pad": the copy takes a classifier's images of any size and
            resizes them as `image_files.square` does, except for rounding; with "pad",
            the edges of the bars can differ by half a pixel. All images of a batch have
            the same size. None: the copy takes images of the model's size.

    Returns:
        The copy, for inference. It shares no weights with the model.

    Raises:
        InputError: A layer is not Keras' own and has no method `portable`.
    """
    images = None
    if resize:
        images = keras.Input((None, None, 3), dtype="uint8", name="images")

    def call(layer, *arguments, **options):
        if resize and arguments[0] is images:
            arguments = (_resized(images, model.input_shape[1], resize),)
        return _applied(layer, *arguments, **options)

    return keras.models.clone_model(
        model,
        input_tensors=images,
        clone_function=lambda layer: layer,
        call_function=call,
    )


def _applied(
    layer: layers.Layer, *arguments: typing.Any, **options: typing.Any
) -> typing.Any:
    """Applies the copy of a layer to symbolic tensors."""
    if isinstance(layer, keras.Model):
        return portable(layer)(*arguments, **options)
    if hasattr(layer, "portable"):
        return layer.portable(*arguments)
    if not type(layer).__module__.startswith("keras."):
        raise InputError(
            f"The layer {layer.name!r} ({type(layer).__name__}) is not one of Keras' "
            "own layers and has no method `portable`, so that Keras could not open "
            "the exported model. Choose another `format`."
        )
    copy = type(layer).from_config(layer.get_config())
    outputs = copy(*arguments, **options)
    copy.set_weights(layer.get_weights())
    return outputs


def _resized(images: Tensor, side: int, how: str) -> Tensor:
    """Resizes images: bicubic and antialiased, as in training."""
    resizing = functools.partial(
        layers.Resizing,
        side,
        side,
        interpolation="bicubic",
        antialias=True,
        dtype="float32",
        name="resizing",
    )
    images = layers.Rescaling(1.0, dtype="float32", name="float")(images)
    if how == "crop":
        images = resizing(crop_to_aspect_ratio=True)(images)
    else:
        # Keras pads with 0. The mean colour is subtracted before and added after the
        # padding, so that the bars have the mean colour.
        pool = layers.GlobalAveragePooling2D(
            keepdims=True, dtype="float32", name="mean_color"
        )
        mean = pool(images)
        images = layers.Subtract(dtype="float32", name="centered")([images, mean])
        images = resizing(pad_to_aspect_ratio=True)(images)
        images = layers.Add(dtype="float32", name="padded")([images, mean])
    # Bicubic interpolation can leave the range of 8-bit values.
    return layers.ReLU(255.0, dtype="float32", name="clipped")(images)
