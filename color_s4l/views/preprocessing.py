"""Normalisation and ZCA whitening of images, as one layer that holds the statistics.

The data preparation of Tran 2019 (SESEMI), with the constants of the published code:
scale 55, ZCA regularisation 0.1, epsilon 1e-10.
"""

import typing
from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from color_s4l import data
from color_s4l.backend import Tensor

CONTRAST_SCALE = 55.0
SMALLEST_NORM = 1e-10
ZCA_REGULARISATION = 0.1
ZCA_EPSILON = 1e-10
# Mean and standard deviation of red, green and blue in ImageNet's training images, for
# values in [0, 1], as in `keras.applications.imagenet_utils` (mode "torch").
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
# Images per chunk: 4,096 images of 32 px are 50 MB as float32.
CHUNK = 4096


def normalise_contrast(images: Tensor) -> Tensor:
    """Subtracts each image's mean and scales the image to L2 norm 55.

    Args:
        images: Float or uint8 `(batch, ...)`; any value range.

    Returns:
        Float32 of the same shape: each image has mean 0 and norm 55 (a variance of
        about 1 per value at 32 px). A constant image becomes 0.
    """
    flat = ops.reshape(ops.cast(images, "float32"), (-1, _size(images)))
    flat = flat - ops.mean(flat, axis=1, keepdims=True)
    norm = ops.sqrt(ops.sum(ops.square(flat), axis=1, keepdims=True))
    norm = ops.where(norm < SMALLEST_NORM, ops.ones_like(norm), norm)
    return ops.reshape(CONTRAST_SCALE * flat / norm, (-1, *images.shape[1:]))


def _size(images: Tensor) -> int:
    return int(np.prod(images.shape[1:]))


def whitening(images: data.Images) -> dict[str, np.ndarray]:
    """Returns the mean and the ZCA matrix of contrast-normalised images.

    With the covariance C = U S U^T of the normalised images (n in the
    denominator), the matrix is U (S + 0.1 + 1e-10)^(-1/2) U^T.

    Args:
        images: uint8 `(n, height, width, 3)`: the whole training set, labelled
            and unlabelled.

    Returns:
        `mean`, float32 `(d,)`, and `matrix`, float32 `(d, d)`, symmetric, with
        d = height * width * 3. The computation needs a few times d * d * 8 bytes of
        memory.
    """
    size = _size(images)
    total, products = np.zeros(size), np.zeros((size, size))
    for raw in data.chunks(images, CHUNK):
        # float64, because float32 sums depend on the alignment of the chunk in memory.
        chunk = ops.convert_to_numpy(normalise_contrast(raw)).astype("float64")
        chunk = chunk.reshape(len(chunk), size)
        total += chunk.sum(axis=0)
        products += chunk.T @ chunk
    mean = total / len(images)
    covariance = products / len(images) - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(covariance)
    # Rounding can make an eigenvalue that should be 0 slightly negative.
    scale = 1 / np.sqrt(np.maximum(values, 0) + ZCA_REGULARISATION + ZCA_EPSILON)
    matrix = (vectors * scale) @ vectors.T
    return {"mean": mean.astype("float32"), "matrix": matrix.astype("float32")}


def channel_statistics(images: data.Images) -> dict[str, np.ndarray]:
    """Returns the mean and the standard deviation of each colour channel.

    Args:
        images: uint8 `(n, height, width, 3)`.

    Returns:
        `mean` and `deviation`, float32 `(3,)`, for values in [0, 255]; a deviation is
        at least 1.
    """
    total = np.zeros((2, images.shape[-1]))
    for chunk in data.chunks(images):  # 512 images: 113 MB as float64 at 96 px
        values = chunk.reshape(-1, chunk.shape[-1]).astype("float64")
        total += [values.sum(axis=0), np.square(values).sum(axis=0)]
    mean, square = total / (len(images) * images.shape[1] * images.shape[2])
    deviation = np.sqrt(np.maximum(square - np.square(mean), 1.0))
    return {"mean": mean.astype("float32"), "deviation": deviation.astype("float32")}


@keras.saving.register_keras_serializable(package="color_s4l")
class Preprocessing(keras.layers.Layer):
    """A layer that normalises and optionally whitens raw RGB images.

    The statistics are weights of the layer, so that a saved model takes raw images. The
    layer always computes in float32: bfloat16 is too coarse for the small differences
    that whitening enlarges.

    Args:
        zca: Whether to whiten images after contrast normalisation.
        normalization: "contrast", or "channels": subtract the mean of each colour
            channel over the training images and divide by the standard deviation; or
            "imagenet": the same with the statistics of ImageNet's images.
        name: Name of the layer.
        dtype: Only float32 is accepted.

    Raises:
        ValueError: `dtype` is not float32.
    """

    def __init__(
        self,
        zca: bool = True,
        normalization: str = "contrast",
        *,
        name: str = "preprocessing",
        dtype: typing.Any = "float32",
    ):
        super().__init__(name=name, dtype=dtype, trainable=False)
        if self.compute_dtype != "float32":
            raise ValueError(f"Expected dtype float32. Received: {self.compute_dtype}.")
        self.zca, self.normalization = zca, normalization

    def build(self, input_shape: tuple) -> None:
        """Creates the statistics: mean 0, and deviation 1 or the identity matrix."""
        if self.normalization == "channels":
            shape = input_shape[-1:]
            self.mean = self.add_weight(shape, "zeros", name="mean", trainable=False)
            self.deviation = self.add_weight(
                shape, "ones", name="deviation", trainable=False
            )
        elif self.zca:
            size = int(np.prod(input_shape[1:]))
            self.mean = self.add_weight((size,), "zeros", name="mean", trainable=False)
            self.matrix = self.add_weight(
                (size, size), "identity", name="matrix", trainable=False
            )

    def set_statistics(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Assigns the result of `whitening` or `channel_statistics`, by name.

        The layer must be built.
        """
        for name, value in statistics.items():
            getattr(self, name).assign(value)

    def call(self, images: Tensor) -> Tensor:
        """Preprocesses a batch.

        Args:
            images: uint8 or float `(batch, height, width, 3)` in [0, 255].

        Returns:
            Float32 of the same shape.
        """
        if self.normalization == "channels":
            return (ops.cast(images, "float32") - self.mean) / self.deviation
        if self.normalization == "imagenet":
            mean = ops.convert_to_tensor(IMAGENET_MEAN, "float32")
            deviation = ops.convert_to_tensor(IMAGENET_DEVIATION, "float32")
            return (ops.cast(images, "float32") / 255 - mean) / deviation
        images = normalise_contrast(images)
        if not self.zca:
            return images
        flat = ops.reshape(images, (-1, _size(images))) - self.mean
        return ops.reshape(ops.matmul(flat, self.matrix), (-1, *images.shape[1:]))

    def portable(self, images: Tensor) -> Tensor:
        """Applies Keras' own layers with the same result.

        The last of these layers has the name of this layer.
        """
        name, policy = self.name, {"dtype": "float32"}
        if self.normalization in ("channels", "imagenet"):
            if self.normalization == "imagenet":
                statistics = [IMAGENET_MEAN, IMAGENET_DEVIATION]
                mean, deviation = 255 * np.array(statistics)
            else:
                mean, deviation = (
                    ops.convert_to_numpy(weight).astype("float64")
                    for weight in (self.mean, self.deviation)
                )
            return keras.layers.Normalization(
                mean=mean.tolist(),
                variance=np.square(deviation).tolist(),
                name=name,
                **policy,
            )(images)
        size = _size(images)
        floats = keras.layers.Rescaling(1.0, name=f"{name}_float", **policy)(images)
        flat = keras.layers.Flatten(name=f"{name}_flat", **policy)(floats)
        # Values with mean 0 and variance 1 have the norm sqrt(size). For 8-bit images,
        # the epsilon only matters if the image is constant.
        flat = keras.layers.LayerNormalization(
            epsilon=1e-6, center=False, scale=False, name=f"{name}_norm", **policy
        )(flat)
        flat = keras.layers.Rescaling(
            CONTRAST_SCALE / size**0.5, name=f"{name}_contrast", **policy
        )(flat)
        if self.zca:
            mean, matrix = map(ops.convert_to_numpy, (self.mean, self.matrix))
            flat = keras.layers.Normalization(
                mean=mean.tolist(),
                variance=np.ones_like(mean).tolist(),
                name=f"{name}_centered",
                **policy,
            )(flat)
            dense = keras.layers.Dense(
                size, use_bias=False, name=f"{name}_whitened", **policy
            )
            flat = dense(flat)
            dense.set_weights([matrix])
        return keras.layers.Reshape(images.shape[1:], name=name, **policy)(flat)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the images."""
        return input_shape

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "zca": self.zca,
            "normalization": self.normalization,
        }
