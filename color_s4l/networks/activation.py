"""LeakyReLU that takes no memory of its own in training."""

import keras
from keras import layers

from color_s4l import backend


@keras.saving.register_keras_serializable(package="color_s4l")
class LeakyReLU(layers.LeakyReLU):
    """Keras' own layer, to the same numbers, with less memory in training."""

    def call(self, inputs, training=None):
        """Activates.

        Args:
            inputs: Float, any shape.
            training: Whether a gradient will be asked for.

        Returns:
            The shape of `inputs`.
        """
        if training and self.negative_slope >= 0:
            return backend.leaky(inputs, self.negative_slope)
        return super().call(inputs)
