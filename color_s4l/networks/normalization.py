"""Batch normalisation by the backend's fused kernel.

Keras computes the statistics operation by operation, in float32. Where one kernel does
it all, a training step reads and writes each feature map less often, and keeps it in
half precision under mixed precision.
"""

import keras
from keras import layers, ops

from color_s4l import backend


@keras.saving.register_keras_serializable(package="color_s4l")
class BatchNormalization(layers.BatchNormalization):
    """Keras' own layer, to the same numbers, with the fused kernel in training.

    It is used for feature maps `(batch, rows, columns, channels)` with batch statistics
    of one device. Synchronised statistics and inference are Keras' own.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalises; moves the moving statistics in training.

        Args:
            inputs: Float `(batch, ..., channels)`.
            training: Batch statistics, or the moving ones.
            mask: Of Keras' layer.

        Returns:
            The shape of `inputs`, in the policy's type.
        """
        if not (training and self.trainable and mask is None and self._fusible(inputs)):
            return super().call(inputs, training=training, mask=mask)
        inputs = ops.cast(inputs, self.compute_dtype)
        outputs, mean, variance = backend.normalized(
            inputs, self.gamma, self.beta, self.epsilon
        )
        for moving, new in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + new * (1.0 - self.momentum))
        return outputs

    def _fusible(self, inputs) -> bool:
        maps = len(inputs.shape) == 4 and self.axis in (-1, 3)
        return maps and self.scale and self.center and not self.synchronized
