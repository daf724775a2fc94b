"""The JAX side of the reversible stages."""

from collections.abc import Callable, Sequence

import jax


def pullback(function: Callable, inputs: Sequence, upstream):
    """The value of a function, and its gradient.

    Args:
        function: Takes `*inputs`, returns one tensor.
        inputs: Float tensors.
        upstream: The gradient of a loss with respect to the function's value.

    Returns:
        The value, and the list of the gradients with respect to `inputs`.
    """
    value, pull = jax.vjp(function, *inputs)
    return value, list(pull(upstream))


def after(tensors: Sequence, earlier: Sequence) -> list:
    """`tensors`, available only once all of `earlier` have been computed."""
    return jax.lax.optimization_barrier((list(tensors), list(earlier)))[0]
