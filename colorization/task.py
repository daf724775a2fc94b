"""The training step: uint8 images in, squared error in a*b* out.

The loss is the mean over pixels and both channels of the squared error, the
1/(2HW) form of Baldassarre et al. 2017, https://arxiv.org/abs/1712.03400,
equation 1.
"""

import keras
from keras import ops

from colorization import lab


class Task(keras.Model):
    """Uint8 images in, error in a*b* out: the conversion is part of the step.

    So images stay uint8 in memory, and both sides of the error are made on the
    device.
    """

    def __init__(self, network: keras.Model) -> None:
        super().__init__(name="task")
        self.network = network
        self.agreement = keras.metrics.Mean(name="agreement")

    def call(self, inputs: dict) -> dict:
        """Predicts.

        Args:
            inputs: "images", uint8 `(batch, height, width, 3)`, and "embedding",
                float `(batch, features)`, where the network reads one.

        Returns:
            "true" and "predicted" colours, `(batch, height, width, 2)` in [-1, 1].
        """
        lightness, colors = lab.split(inputs["images"])
        if "embedding" in inputs:
            lightness = [lightness, inputs["embedding"]]
        return {"true": colors, "predicted": self.network(lightness)}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The mean squared error: over images, pixels and both channels."""
        return ops.mean(ops.square(y_pred["predicted"] - y_pred["true"]))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Adds the share of pixels where argmax(a*, b*) agrees.

        That is what Keras calls "accuracy" on two channels, and what the report
        prints as its colorizers' accuracy, 79 to 84 %.
        """
        true, predicted = (
            ops.argmax(y_pred[k], axis=-1) for k in ("true", "predicted")
        )
        self.agreement.update_state(ops.cast(ops.equal(true, predicted), "float32"))
        return self.get_metrics_result()
