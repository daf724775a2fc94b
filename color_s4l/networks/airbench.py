"""Fast trunks for small images: airbench.

Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU"
(https://arxiv.org/abs/2404.00498), and its published code: a 2x2 convolution
that whitens image patches, fitted on training images and frozen; three blocks of 3x3
convolutions with max-pooling, batch normalisation without scale, and GELU; a maximum
over all positions; features scaled by 1/9. The 3x3 convolutions are initialised to copy
their input (`PartialIdentity`).

Differs from the published code: the bias of the whitening is trained for the whole run
and not for three epochs; the maximum is taken over all positions, so that image sizes
other than 32 px are possible (at 32 px it is the published 3x3 pooling); the filters
that copy nothing are drawn from He's distribution, sqrt(6) times wider; epsilon of the
batch normalisation is 1e-5 and not 1e-12; GELU has its sigmoid form; the class head has
a bias; there is no Lookahead optimizer (`polyak` averages the weights).
"""

import functools

import keras
import numpy as np
from keras import layers, ops

from color_s4l import data
from color_s4l.backend import Tensor
from color_s4l.networks import parts
from color_s4l.networks.layers import GELU, BatchNormalization, Conv2D
from color_s4l.registry import register_trunk

# Side of the whitened patches, and the number added to the eigenvalues of their
# covariance (for images with about unit variance).
PATCH = 2
EPSILON = 5e-4
SCALE = 1 / 9
# Images per chunk: 256 images of 96 px have 220 MB of patches.
CHUNK = 256


@keras.saving.register_keras_serializable(package="color_s4l")
class PatchWhitening(layers.Layer):
    """A frozen convolution that whitens image patches, with a trained bias.

    The filters are the eigenvectors of the covariance of 2x2 patches (computed around
    0, not around the mean), each divided by the square root of its eigenvalue, and the
    negatives of these vectors: 24 filters for RGB images. `adapt` fits the filters on
    images, as in Keras' preprocessing layers.

    Args:
        name: Name of the layer.
        dtype: Dtype policy.
        trainable: Whether the bias is trained.
    """

    window = PATCH

    def __init__(self, name=None, dtype=None, trainable: bool = True):
        super().__init__(name=name, dtype=dtype, trainable=trainable)

    def build(self, input_shape: tuple) -> None:
        """Creates kernel and bias for inputs `(batch, rows, columns, channels)`."""
        size = PATCH * PATCH * input_shape[-1]
        self.kernel = self.add_weight(
            (PATCH, PATCH, input_shape[-1], 2 * size),
            "glorot_uniform",
            name="kernel",
            trainable=False,
        )
        self.bias = self.add_weight((2 * size,), "zeros", name="bias")

    def adapt(self, images: np.ndarray) -> None:
        """Fits the kernel.

        Args:
            images: Preprocessed, float `(n, height, width, channels)`.
        """
        size = PATCH * PATCH * images.shape[-1]
        products, count = np.zeros((size, size)), 0
        for chunk in data.chunks(images, CHUNK):
            patches = np.lib.stride_tricks.sliding_window_view(
                chunk.astype("float64"), (PATCH, PATCH), axis=(1, 2)
            )
            # (n, rows, columns, channels, patch rows, patch columns) to kernel order.
            patches = np.moveaxis(patches, 3, -1).reshape(-1, size)
            products += patches.T @ patches
            count += len(patches)
        covariance = products / count
        values, vectors = np.linalg.eigh(covariance)
        scaled = vectors / np.sqrt(np.maximum(values, 0) + EPSILON)
        kernel = np.concatenate([scaled, -scaled], axis=1)
        self.kernel.assign(kernel.reshape(self.kernel.shape))

    def call(self, images: Tensor) -> Tensor:
        """Maps `(batch, rows, columns, 3)` to `(batch, rows - 1, columns - 1, 24)`."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        outputs = ops.conv(images, kernel, padding="valid")
        return outputs + ops.cast(self.bias, self.compute_dtype)

    def portable(self, images: Tensor) -> Tensor:
        """Applies Keras' convolution with the same kernel and bias."""
        convolution = layers.Conv2D(self.bias.shape[0], PATCH, name=self.name)
        outputs = convolution(images)
        convolution.set_weights(
            [ops.convert_to_numpy(weight) for weight in (self.kernel, self.bias)]
        )
        return outputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the outputs."""
        batch, rows, columns, channels = input_shape
        filters = 2 * PATCH * PATCH * channels
        return (batch, rows - PATCH + 1, columns - PATCH + 1, filters)


@keras.saving.register_keras_serializable(package="color_s4l")
class PartialIdentity(keras.initializers.Initializer):
    """An initialiser: the first filters copy the input channels, the rest is random.

    The random filters have He's uniform initialisation.

    Args:
        seed: Seed of the random filters; None: drawn with Python's module `random`.
    """

    def __init__(self, seed: int | None = None):
        self.seed = seed
        self.rest = keras.initializers.HeUniform(seed)

    def __call__(self, shape: tuple, dtype=None) -> Tensor:
        """Returns a kernel `(rows, columns, channels, filters)`."""
        rows, columns, channels, filters = shape
        kernel = np.array(ops.convert_to_numpy(self.rest(shape, "float32")))
        copied = min(channels, filters)
        kernel[..., :copied] = 0
        index = np.arange(copied)
        kernel[rows // 2, columns // 2, index, index] = 1
        return ops.convert_to_tensor(kernel, dtype)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"seed": self.seed}


def airbench(
    input_shape: tuple[int, int, int],
    *,
    filters: tuple[int, int, int] = (64, 256, 256),
    depth: int = 2,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Args:
        input_shape: `(height, width, channels)`, with sides of at least 16 px.
        filters: Number of filters of the three blocks.
        depth: Convolutions in each block, 2 or 3. With 3, the last one is residual.
        width: Factor on the numbers of filters. 1 gives 1,968,792 trained parameters
            for `airbench`.
        dropout: Drop rate after each block's pooling (published: 0).
        synchronized: As for every trunk.

    Returns:
        Features `(batch, 1, 1, filters[2] * width)`.

    Raises:
        InputError: The images are smaller than 16 px.
    """
    parts.check_size("airbench", input_shape, 16)
    inputs = keras.Input(input_shape)
    features = PatchWhitening(name="stem_whitening")(inputs)
    features = GELU(name="stem")(features)
    for block, count in enumerate(filters, start=1):
        name, size = f"block{block}", parts.scaled(count, width)
        features = _convolve(features, size, f"{name}_1")
        features = layers.MaxPooling2D(2, name=f"{name}_pool")(features)
        features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
        features = _normalize(features, f"{name}_1", synchronized)
        features = shortcut = GELU(name=f"{name}_1")(features)
        for number in range(2, depth + 1):
            features = _convolve(features, size, f"{name}_{number}")
            features = _normalize(features, f"{name}_{number}", synchronized)
            if number == 3:
                features = layers.Add(name=f"{name}_sum")([shortcut, features])
            features = GELU(name=f"{name}_{number}")(features)
    largest = layers.GlobalMaxPooling2D(keepdims=True, name="block3_max")(features)
    scaled = layers.Rescaling(SCALE, name="block3_scaled")(largest)
    return keras.Model(inputs, scaled, name="trunk")


def _convolve(features: Tensor, filters: int, name: str) -> Tensor:
    return Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer=PartialIdentity(),
        name=f"{name}_conv",
    )(features)


def _normalize(features: Tensor, name: str, synchronized: bool) -> Tensor:
    # With Keras' default momentum of 0.99, the moving statistics would not converge in
    # a short run.
    return BatchNormalization(
        momentum=0.6,
        epsilon=1e-5,
        scale=False,
        synchronized=synchronized,
        name=f"{name}_norm",
    )(features)


register_trunk("airbench", airbench)
register_trunk("airbench95", functools.partial(airbench, filters=(128, 384, 384)))
register_trunk(
    "airbench96", functools.partial(airbench, filters=(128, 512, 512), depth=3)
)
