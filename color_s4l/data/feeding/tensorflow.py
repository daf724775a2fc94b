"""The TensorFlow side: tf.data without its tuner."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def fed(batches) -> Iterator[tf.data.Dataset]:
    """The batches as a data set of tensors with all their sizes.

    Keras would make one, too, with tf.data's tuner. The tuner's thread pauses for
    10 ms, then 20, and so on, and now and then what reads the data ends only with such
    a pause (TensorFlow 2.21: one `fit` in six took up to twice its time). There is
    nothing to tune here.
    """
    # TensorFlow never frees a generator's function, nor what that one holds.
    held, count = [batches], batches.num_batches

    def each() -> Iterator:
        for number in range(count):
            yield held[0][number]

    options = tf.data.Options()
    options.autotune.enabled = False
    signature = tf.nest.map_structure(_specification, batches[0])
    data = tf.data.Dataset.from_generator(each, output_signature=signature)
    data = data.apply(tf.data.experimental.assert_cardinality(count))
    try:
        yield data.prefetch(1).with_options(options)
    finally:
        held.clear()


def _specification(array) -> tf.TensorSpec:
    return tf.TensorSpec(array.shape, array.dtype)
