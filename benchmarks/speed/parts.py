"""Parts of our step, compiled by themselves; peak memory of an accelerator.

The compiled functions return sums, so that no large array is copied to the host;
everything is computed nevertheless.
"""

from collections.abc import Callable

import keras

from color_s4l.training.learner import Learner


def compiled(learner: Learner) -> tuple[Callable, Callable]:
    """Returns two functions of a raw batch: its views; its views and all gradients."""
    jax = keras.backend.backend() == "jax"
    return _compiled_by_jax(learner) if jax else _compiled_by_tensorflow(learner)


def _compiled_by_tensorflow(learner: Learner) -> tuple[Callable, Callable]:
    import tensorflow as tf

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
        arrays = [tf.convert_to_tensor(part) for part in found if part is not None]
        return [tf.reduce_sum(array) for array in arrays]

    return views, gradient


def _compiled_by_jax(learner: Learner) -> tuple[Callable, Callable]:
    import jax

    kept = learner.non_trainable_variables

    def scope(trainable=()):
        given = [*zip(learner.trainable_variables, trainable, strict=False)]
        given += [(variable, variable.value) for variable in kept]
        return keras.StatelessScope(state_mapping=given)

    @jax.jit
    def views(batch):
        with scope():
            made = learner.views_of(batch)
        return [made[name].sum() for name in made if name != "draws"]

    @jax.jit
    def gradient(trainable, batch):
        with scope():
            made = learner.views_of(batch)

        def loss_of(trainable):
            with scope(trainable):
                return learner.losses(made)[1]

        return [part.sum() for part in jax.grad(loss_of)(trainable)]

    values = [variable.value for variable in learner.trainable_variables]
    return views, lambda batch: gradient(values, batch)


def device_memory() -> int | None:
    """Returns the peak bytes on the first accelerator; None on a CPU."""
    if keras.backend.backend() == "jax":
        import jax

        stored = jax.devices()[0].memory_stats()
        return stored["peak_bytes_in_use"] if stored else None
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]
