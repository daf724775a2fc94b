"""Numbers that a term keeps about each unlabelled image from epoch to epoch."""

import keras
from keras import ops

from color_s4l.backend import Tensor


class Memory(keras.layers.Layer):
    """One row of numbers for each unlabelled image; the state of a term.

    Args:
        num_examples: Number of unlabelled images.
        shape: Shape of one row; `()`: a single number.
        initial: First value of all numbers.
    """

    def __init__(
        self, num_examples: int, shape: tuple[int, ...] = (), initial: float = 0.0
    ):
        super().__init__(name="memory", dtype="float32")
        # Labels are stored as floats too: TensorFlow has no int32 variables on GPUs.
        self.rows = self.add_weight(
            name="rows",
            shape=(num_examples, *shape),
            initializer=keras.initializers.Constant(initial),
            trainable=False,
        )
        self.built = True

    def read(self, index: Tensor) -> Tensor:
        """Returns the rows of some images.

        Args:
            index: int32 `(batch,)`.

        Returns:
            Float32 `(batch, *shape)`.
        """
        return ops.take(self.rows, index, axis=0)

    def write(self, index: Tensor, rows: Tensor) -> None:
        """Replaces the rows of some images.

        Args:
            index: int32 `(batch,)`; if an image occurs twice, one of its rows is kept.
            rows: Numbers `(batch, *shape)`.
        """
        rows = ops.cast(rows, "float32")
        self.rows.assign(ops.scatter_update(self.rows, index[:, None], rows))
