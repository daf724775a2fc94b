"""Residual network of 34 layers with Shake-Shake regularisation.

Gastaldi 2017 (https://arxiv.org/abs/1705.07485): every block has two branches, mixed
by random convex weights in the forward pass and by other random weights in the
backward pass, drawn for each image; by one half each at test. The Color-S4L paper
names it "ResNet34 with Shake-Shake (Shake-WRN)" and says no more; open choices here:
ResNet-34's 3, 4, 6 and 3 blocks, branches of 32 to 256 filters (the paper's "2x32d"),
a 3x3 stem for small images, the shortcuts of Gastaldi.
"""

import keras
from keras import layers, ops

from color_s4l.networks import parts

UNITS = (3, 4, 6, 3)


def shake_wrn(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 8.
        width: Factor on every number of filters. 1: branches of 32 filters at first
            ("2x32d"), 3: of 96.
        dropout: Before the second convolution of every branch (published: 0).
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to features `(batch, rows, columns, 256 * width)`;
        4 rows and columns for 32 pixels.

    Raises:
        InputError: The images are smaller than 8 pixels.
    """
    parts.check_size("The Shake-WRN", input_shape, 8)
    inputs = keras.Input(input_shape)
    features = parts.convolve(inputs, parts.scaled(16, width), 3, "stem")
    features = parts.normalize(features, "stem", synchronized)
    for stage, units in enumerate(UNITS, start=1):
        filters = 2 * parts.scaled(16 * 2 ** (stage - 1), width)
        for number in range(1, units + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            features = _unit(
                features,
                filters,
                strides,
                f"block{stage}_{number}",
                dropout,
                synchronized,
            )
    features = layers.ReLU(name="block4")(features)
    return keras.Model(inputs, features, name="trunk")


def shake(first, second, forward, backward):
    """A mixture whose gradient is that of another mixture.

    Args:
        first: Float `(batch, ...)`.
        second: The same shape.
        forward: Weight of `first` in the value, in [0, 1], `(batch, 1, ...)`.
        backward: Weight of `first` in the gradient, the same shape.

    Returns:
        `forward * first + (1 - forward) * second`; its gradient with respect to
        `first` is `backward`, to `second` `1 - backward`.
    """
    mixture = backward * first + (1 - backward) * second
    return mixture + ops.stop_gradient((forward - backward) * (first - second))


@keras.saving.register_keras_serializable(package="color_s4l")
class ShakeShake(layers.Layer):
    """Mixes two branches: at random in training, by halves at test.

    Args:
        seed: Of the draws; None: from Keras' global seed.
        name: Of the layer.
        dtype: Policy.
        trainable: Keras' own; there is nothing to train.
    """

    def __init__(self, seed=None, name=None, dtype=None, trainable=True):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs, training=False):
        """From a pair of `(batch, rows, columns, channels)` to one."""
        first, second = inputs
        if not training:
            return (first + second) / 2
        return shake(first, second, self.draw(first), self.draw(first))

    def draw(self, images):
        """A weight for each image, uniform in [0, 1), `(batch, 1, 1, 1)`."""
        shape = (ops.shape(images)[0], 1, 1, 1)
        return keras.random.uniform(shape, dtype=images.dtype, seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        """The shape of one branch."""
        return input_shape[0]

    def get_config(self):
        """What the constructor takes."""
        return {**super().get_config(), "seed": self.seed}


def _unit(features, filters, strides, name, dropout, synchronized):
    """ReLU, two branches, shaken, added to the shortcut."""
    shortcut = features
    activated = layers.ReLU(name=f"{name}_activated")(features)
    if strides > 1:
        shortcut = _halve(activated, filters, f"{name}_shortcut", synchronized)
    elif features.shape[-1] != filters:
        shortcut = parts.convolve(activated, filters, 1, f"{name}_shortcut")
        shortcut = parts.normalize(shortcut, f"{name}_shortcut", synchronized)
    branches = []
    for side in ("left", "right"):
        branch = f"{name}_{side}"
        features = parts.convolve(
            activated, filters, 3, f"{branch}_first", strides=strides
        )
        features = parts.normalize_and_activate(
            features, f"{branch}_first", synchronized
        )
        features = layers.Dropout(dropout, name=f"{branch}_dropout")(features)
        features = parts.convolve(features, filters, 3, f"{branch}_second")
        branches.append(parts.normalize(features, f"{branch}_second", synchronized))
    shaken = ShakeShake(name=f"{name}_shake")(branches)
    return layers.Add(name=name)([shortcut, shaken])


def _halve(activated, filters, name, synchronized):
    """Every second pixel, and their lower right neighbours, half the filters each."""
    here = layers.AveragePooling2D(1, strides=2, name=f"{name}_here")(activated)
    here = parts.convolve(here, filters // 2, 1, f"{name}_here")
    moved = layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}_cropped")(activated)
    moved = layers.AveragePooling2D(1, strides=2, name=f"{name}_moved")(moved)
    # The last pixel of an odd side has no neighbour. Padded after the pooling: ONNX
    # has no pooling of one pixel with a margin.
    odd = [(0, side % 2) for side in activated.shape[1:3]]
    moved = layers.ZeroPadding2D(odd, name=f"{name}_padded")(moved)
    moved = parts.convolve(moved, filters - filters // 2, 1, f"{name}_moved")
    both = layers.Concatenate(name=name)([here, moved])
    return parts.normalize(both, name, synchronized)
