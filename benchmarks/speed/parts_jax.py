"""The parts of our step, compiled by JAX."""

from collections.abc import Callable

import jax
import keras

from color_s4l.training.learner import Learner


def compiled(learner: Learner) -> tuple[Callable, Callable]:
    """Functions of a raw batch: its views; and these, losses and gradients."""
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

        # Sums, so that nothing large is copied out; all of it is computed.
        return [part.sum() for part in jax.grad(loss_of)(trainable)]

    values = [variable.value for variable in learner.trainable_variables]
    return views, lambda batch: gradient(values, batch)


def device_memory() -> int | None:
    """Peak bytes on the first accelerator; None on a CPU."""
    stored = jax.devices()[0].memory_stats()
    return stored["peak_bytes_in_use"] if stored else None
