"""The parts of our step, compiled by TensorFlow."""

from collections.abc import Callable

import tensorflow as tf

from color_s4l.training.learner import Learner


def compiled(learner: Learner) -> tuple[Callable, Callable]:
    """Functions of a raw batch: its views; and these, losses and gradients."""

    @tf.function(jit_compile=learner.jit_compile)
    def views(batch):
        made = learner.views_of(batch)
        return [tf.reduce_sum(made[name]) for name in made if name != "draws"]

    @tf.function(jit_compile=learner.jit_compile)
    def gradient(batch):
        made = learner.views_of(batch)
        with tf.GradientTape() as tape:
            _, loss = learner.losses(made)
        found = tape.gradient(loss, learner.trainable_variables)
        # Sums, so that nothing large is copied out; all of it is computed.
        return [
            tf.reduce_sum(tf.convert_to_tensor(part))
            for part in found
            if part is not None
        ]

    return views, gradient


def device_memory() -> int | None:
    """Peak bytes on the first GPU; None without one."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]
