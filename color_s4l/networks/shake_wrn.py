"""Residual network of 34 layers with Shake-Shake regularisation.

Gastaldi 2017 (https://arxiv.org/abs/1705.07485): every block has two branches. In
training, random convex weights, drawn for each image, mix the branches in the forward
pass, and other random weights mix the gradients in the backward pass; at test both
weights are 1/2. The Color-S4L paper only names the network: "ResNet34 with Shake-Shake
(Shake-WRN)". Our choices: ResNet-34's 3, 4, 6 and 3 blocks, branches of 32 to 256
filters (Gastaldi's "2x32d"), a 3x3 stem for small images, the shortcuts of Gastaldi.
"""

import typing

import keras
from keras import layers, ops

from color_s4l.backend import Tensor
from color_s4l.networks import parts
from color_s4l.registry import register_trunk

UNITS = (3, 4, 6, 3)


@register_trunk("shake_wrn")
def shake_wrn(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk: 256 * width channels; 4 x 4 features for 32 pixels.

    Width 1 has branches of 32 filters in the first stage ("2x32d"), width 3 of 96.
    Dropout is applied before the second convolution of every branch (published: 0).
    Images need sides of at least 8 pixels.
    """
    parts.check_size("The Shake-WRN", input_shape, 8)
    inputs = keras.Input(input_shape)
    features = parts.convolve(inputs, parts.scaled(16, width), 3, "stem")
    features = parts.normalize(features, "stem", synchronized)
    for stage, units in enumerate(UNITS, start=1):
        filters = 2 * parts.scaled(16 * 2 ** (stage - 1), width)
        for number in range(1, units + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            name = f"block{stage}_{number}"
            features = _unit(features, filters, strides, name, dropout, synchronized)
    features = layers.ReLU(name="block4")(features)
    return keras.Model(inputs, features, name="trunk")


def shake(first: Tensor, second: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """Returns a mixture of two tensors, with other weights in the gradient.

    Args:
        first: Float `(batch, ...)`.
        second: The same shape.
        forward: Weight of `first` in the value, in [0, 1], `(batch, 1, ...)`.
        backward: Weight of `first` in the gradient, the same shape.

    Returns:
        `forward * first + (1 - forward) * second`. Its gradient is `backward` with
        respect to `first`, and `1 - backward` with respect to `second`.
    """
    mixture = backward * first + (1 - backward) * second
    return mixture + ops.stop_gradient((forward - backward) * (first - second))


@keras.saving.register_keras_serializable(package="color_s4l")
class ShakeShake(layers.Layer):
    """A mixture of two branches: random weights in training, 1/2 each at test.

    Args:
        seed: Seed of the random weights; None: drawn with Python's module `random`.
        name: Name of the layer.
        dtype: Dtype policy.
        trainable: Has no effect, because the layer has nothing to train; Keras needs
            this argument to load the layer.
    """

    def __init__(
        self,
        seed: int | None = None,
        name: str | None = None,
        dtype: typing.Any = None,
        trainable: bool = True,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """Maps a pair of `(batch, rows, columns, channels)` to one tensor."""
        first, second = inputs
        if not training:
            return (first + second) / 2
        return shake(first, second, self.draw(first), self.draw(first))

    def portable(self, inputs: list[Tensor]) -> Tensor:
        """Applies Keras' average, as at test."""
        return layers.Average(name=self.name)(inputs)

    def draw(self, images: Tensor) -> Tensor:
        """Draws a weight for each image, uniform in [0, 1), `(batch, 1, 1, 1)`."""
        shape = (ops.shape(images)[0], 1, 1, 1)
        return keras.random.uniform(shape, dtype=images.dtype, seed=self.seed_generator)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        """Returns the shape of one branch."""
        return input_shape[0]

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}


def _unit(features, filters, strides, name, dropout, synchronized):
    """Applies ReLU and two branches, mixes them, and adds the shortcut."""
    shortcut = features
    activated = layers.ReLU(name=f"{name}_activated")(features)
    if strides > 1:
        shortcut = _halve(activated, filters, f"{name}_shortcut", synchronized)
    elif features.shape[-1] != filters:
        shortcut = parts.convolve(activated, filters, 1, f"{name}_shortcut")
        shortcut = parts.normalize(shortcut, f"{name}_shortcut", synchronized)
    branches = []
    for side in ("left", "right"):
        branch, first = f"{name}_{side}", f"{name}_{side}_first"
        features = parts.convolve(activated, filters, 3, first, strides=strides)
        features = parts.normalize_and_activate(features, first, synchronized)
        features = layers.Dropout(dropout, name=f"{branch}_dropout")(features)
        features = parts.convolve(features, filters, 3, f"{branch}_second")
        branches.append(parts.normalize(features, f"{branch}_second", synchronized))
    shaken = ShakeShake(name=f"{name}_shake")(branches)
    return layers.Add(name=name)([shortcut, shaken])


def _halve(activated, filters, name, synchronized):
    """Halves the resolution without reading all pixels.

    In each 2 x 2 square, half of the filters read the upper left pixel, the other half
    the lower right pixel.
    """
    here = layers.AveragePooling2D(1, strides=2, name=f"{name}_here")(activated)
    here = parts.convolve(here, filters // 2, 1, f"{name}_here")
    moved = layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}_cropped")(activated)
    moved = layers.AveragePooling2D(1, strides=2, name=f"{name}_moved")(moved)
    # The last pixel of an odd side has no lower right neighbour, so a zero is appended.
    # It is appended after the pooling: the ONNX converter merges a padding with the
    # pooling after it, and ONNX has no pooling of size 1 with padding.
    odd = [(0, side % 2) for side in activated.shape[1:3]]
    moved = layers.ZeroPadding2D(odd, name=f"{name}_padded")(moved)
    moved = parts.convolve(moved, filters - filters // 2, 1, f"{name}_moved")
    both = layers.Concatenate(name=name)([here, moved])
    return parts.normalize(both, name, synchronized)
