"""Wide residual network with max-poolings.

Zagoruyko & Komodakis 2016 (https://arxiv.org/abs/1605.07146) in the form of Tran
2019's published code: a stage begins with a block that expands the channels without
normalisation, shrinks by max-pooling where the paper takes strides of 2, and ends in
batch normalisation and ReLU. No biases.
"""

import keras
from keras import layers

from color_s4l.errors import InputError
from color_s4l.networks import parts


def wrn(
    input_shape: tuple[int, int, int],
    *,
    depth: int = 28,
    widening: int = 2,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 4.
        depth: Convolutions on the way, 6 n + 4.
        widening: The paper's k: the stages have 16 k, 32 k and 64 k filters.
        width: Factor on every number of filters, the stem's too. At 1, WRN-28-2 has
            1,466,320 trainable parameters and 3,616 moving statistics, WRN-28-4 has
            5,846,480 and 7,200.
        dropout: Between the convolutions of a residual block (published: 0).
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to features
        `(batch, rows, columns, 64 * widening * width)`; 8 rows and columns for 32
        pixels.

    Raises:
        InputError: There is no such depth, or the images are smaller than 4 pixels.
    """
    parts.check_size("The WRN", input_shape, 4)
    units = units_per_stage(depth)
    inputs = keras.Input(input_shape)
    features = parts.convolve(inputs, parts.scaled(16, width), 3, "stem")
    features = parts.normalize_and_activate(features, "stem", synchronized)
    for stage in (1, 2, 3):
        filters = parts.scaled(16 * widening * 2 ** (stage - 1), width)
        name = f"block{stage}"
        features = _expand(features, filters, f"{name}_1", synchronized)
        if stage > 1:
            features = layers.MaxPooling2D(2, name=f"{name}_pool")(features)
        for number in range(2, units + 1):
            unit = f"{name}_{number}"
            features = _residual(features, filters, unit, dropout, synchronized)
        features = parts.normalize_and_activate(features, name, synchronized)
    return keras.Model(inputs, features, name="trunk")


def units_per_stage(depth: int) -> int:
    """Residual blocks in each of the three stages.

    Args:
        depth: 6 n + 4.

    Returns:
        n.

    Raises:
        InputError: No n gives this depth.
    """
    units, rest = divmod(depth - 4, 6)
    if rest or units < 1:
        raise InputError(
            f"A WRN has a depth of 6 n + 4: 10, 16, 22, 28, 40. Received: {depth}."
        )
    return units


def _expand(features, filters, name, synchronized):
    """Two convolutions beside a 1x1 one; the input is already activated."""
    shortcut = parts.convolve(features, filters, 1, f"{name}_shortcut")
    features = parts.convolve(features, filters, 3, f"{name}_first")
    features = parts.normalize_and_activate(features, f"{name}_second", synchronized)
    features = parts.convolve(features, filters, 3, f"{name}_second")
    return layers.Add(name=name)([shortcut, features])


def _residual(shortcut, filters, name, dropout, synchronized):
    """Normalisation, ReLU, convolution, twice, added to the input."""
    features = parts.normalize_and_activate(shortcut, f"{name}_first", synchronized)
    features = parts.convolve(features, filters, 3, f"{name}_first")
    features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
    features = parts.normalize_and_activate(features, f"{name}_second", synchronized)
    features = parts.convolve(features, filters, 3, f"{name}_second")
    return layers.Add(name=name)([shortcut, features])
