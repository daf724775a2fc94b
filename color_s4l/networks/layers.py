"""Layers that replace Keras' own, most of them to make training faster.

Like all layers that this library defines for its trunks, they have a method `portable`.
It applies Keras' own layers with the same result in inference, and
`networks.portable` uses it for exported models.
"""

import typing

import keras
from keras import layers, ops

from color_s4l import backend
from color_s4l.backend import Tensor

# `Conv2D` uses its own gradient for at most SMALL_MAP positions and at least
# MANY_CHANNELS channels.
SMALL_MAP, MANY_CHANNELS = 64, 256
GELU_SLOPE = 1.702


def apply_as(
    kind: type[layers.Layer], layer: layers.Layer, inputs: Tensor, **changes: typing.Any
) -> Tensor:
    """Copies a layer's settings and weights into a layer of another class; applies it.

    Args:
        kind: Class of the new layer.
        layer: A built layer with the settings and weights that `kind` expects.
        inputs: Symbolic input of the new layer.
        **changes: Settings of the new layer that differ.

    Returns:
        The symbolic output of the new layer.
    """
    copy = kind.from_config({**layer.get_config(), **changes})
    outputs = copy(inputs)
    copy.set_weights(layer.get_weights())
    return outputs


@keras.saving.register_keras_serializable(package="color_s4l")
class BatchNormalization(layers.BatchNormalization):
    """Batch normalisation by the backend's fused kernel.

    Keras computes the statistics with several operations in float32. The fused kernel
    reads and writes each feature map less often. Under mixed precision, it keeps the
    feature map in half precision.

    The kernel is used in training, for feature maps `(batch, rows, columns, channels)`
    with the batch statistics of one device. In all other cases, Keras' own code is
    used.
    """

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Normalises the inputs; updates the moving statistics in training.

        Args:
            inputs: Float `(batch, ..., channels)`.
            training: Whether to use batch statistics instead of moving statistics.
            mask: As for Keras' layer.

        Returns:
            The shape of `inputs`, in the dtype of the policy.
        """
        if not (training and self.trainable and mask is None and self._fusible(inputs)):
            return super().call(inputs, training=training, mask=mask)
        inputs = ops.cast(inputs, self.compute_dtype)
        scale = self.gamma if self.scale else ops.ones_like(self.beta)
        outputs, mean, variance = backend.normalized(
            inputs, scale, self.beta, self.epsilon
        )
        for moving, new in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + new * (1.0 - self.momentum))
        return outputs

    def portable(self, inputs: Tensor) -> Tensor:
        """Applies Keras' batch normalisation."""
        return apply_as(layers.BatchNormalization, self, inputs)

    def _fusible(self, inputs) -> bool:
        maps = len(inputs.shape) == 4 and self.axis in (-1, 3)
        return maps and self.center and not self.synchronized


@keras.saving.register_keras_serializable(package="color_s4l")
class LeakyReLU(layers.LeakyReLU):
    """LeakyReLU that keeps only its outputs in memory for the gradient."""

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Applies the activation.

        Args:
            inputs: Float, any shape.
            training: Whether a gradient will be computed.

        Returns:
            Float, the shape of `inputs`.
        """
        if training and self.negative_slope >= 0:
            return backend.leaky(inputs, self.negative_slope)
        return super().call(inputs)

    def portable(self, inputs: Tensor) -> Tensor:
        """Applies Keras' LeakyReLU."""
        return apply_as(layers.LeakyReLU, self, inputs)


@keras.saving.register_keras_serializable(package="color_s4l")
class GELU(layers.Layer):
    """GELU in its sigmoid form, x * sigmoid(1.702 x), with a fast gradient.

    Hendrycks & Gimpel 2016 (https://arxiv.org/abs/1606.08415), section 2. The sigmoid
    form differs from the exact form by less than 0.021 and needs half as many
    operations.
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Applies the activation.

        Args:
            inputs: Float, any shape.
            training: Whether a gradient will be computed.

        Returns:
            Float, the shape of `inputs`.
        """
        if training:
            return backend.gelu(inputs, GELU_SLOPE)
        # The same function, written as a SiLU, which TensorFlow fuses on CPUs.
        return ops.silu(GELU_SLOPE * inputs) / GELU_SLOPE

    def portable(self, inputs: Tensor) -> Tensor:
        """Applies the function as a scaled SiLU, as `call` does in inference."""
        scaled = layers.Rescaling(GELU_SLOPE, name=f"{self.name}_scaled")(inputs)
        activated = layers.Activation("silu", name=f"{self.name}_silu")(scaled)
        return layers.Rescaling(1 / GELU_SLOPE, name=self.name)(activated)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the inputs."""
        return input_shape


@keras.saving.register_keras_serializable(package="color_s4l")
class LayerScale(layers.Layer):
    """A factor for each channel, as in ConvNeXt (Touvron et al. 2021, CaiT).

    The same layer in `keras.applications` is not used, because it is not registered
    with Keras: Keras cannot read it from an H5 file.

    Args:
        init_values: Initial value of the factors.
        projection_dim: Number of channels.
        **settings: As for every Keras layer.
    """

    def __init__(self, init_values: float, projection_dim: int, **settings):
        super().__init__(**settings)
        self.init_values, self.projection_dim = init_values, projection_dim

    def build(self, input_shape: tuple) -> None:
        """Creates the factors."""
        self.gamma = self.add_weight(
            (self.projection_dim,),
            keras.initializers.Constant(self.init_values),
            name="gamma",
        )

    def call(self, inputs: Tensor) -> Tensor:
        """Multiplies `(batch, ..., channels)` by the factors."""
        return inputs * self.gamma

    def portable(self, inputs: Tensor) -> Tensor:
        """Applies a depthwise 1x1 convolution; the factors are its kernel."""
        scale = layers.DepthwiseConv2D(1, use_bias=False, name=self.name)
        outputs = scale(inputs)
        gamma = ops.convert_to_numpy(self.gamma)
        scale.set_weights([gamma.reshape(1, 1, -1, 1)])
        return outputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        own = {"init_values": self.init_values, "projection_dim": self.projection_dim}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="color_s4l")
class ChannelConv2D(layers.Conv2D):
    """A convolution with as many groups as channels, computed as a depthwise one.

    The kernel has the shape of Keras' `Conv2D`, so that Keras' weight files fit.
    """

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """Convolves `(batch, rows, columns, channels)`, each channel by itself."""
        return ops.depthwise_conv(
            inputs,
            ops.transpose(kernel, (0, 1, 3, 2)),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
        )

    def portable(self, inputs: Tensor) -> Tensor:
        """Applies Keras' depthwise convolution with the same kernel and bias."""
        convolution = layers.DepthwiseConv2D(
            self.kernel_size,
            self.strides,
            self.padding,
            dilation_rate=self.dilation_rate,
            use_bias=self.use_bias,
            activation=self.activation,
            name=self.name,
        )
        outputs = convolution(inputs)
        kernel, *bias = self.get_weights()
        convolution.set_weights([kernel.transpose(0, 1, 3, 2), *bias])
        return outputs


@keras.saving.register_keras_serializable(package="color_s4l")
class Conv2D(layers.Conv2D):
    """A convolution with a faster gradient for small feature maps with many channels.

    The faster gradient is used with TensorFlow on a CPU, in bfloat16, for at least 256
    input channels and maps of at most 64 positions (8x8). The layer must have stride 1,
    padding "same", no dilation, no groups and a kernel of odd size. In all other cases
    the layer computes the same as Keras' layer, with the backend's own gradient.
    """

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """Convolves `(batch, rows, columns, channels)` with a kernel."""
        _, rows, columns, channels = inputs.shape
        small = rows * columns <= SMALL_MAP and channels >= MANY_CHANNELS
        plain = (
            self.padding == "same"
            and self.strides == self.dilation_rate == (1, 1)
            and self.groups == 1
            and self.kernel_size[0] % 2 == 1
        )
        if small and plain and self.compute_dtype == "bfloat16":
            return backend.convolved(inputs, kernel)
        return super().convolution_op(inputs, kernel)

    def portable(self, inputs: Tensor) -> Tensor:
        """Applies Keras' convolution with the same weights.

        The initialiser can be a class of this library, so a built-in one replaces it.
        """
        return apply_as(layers.Conv2D, self, inputs, kernel_initializer="zeros")
