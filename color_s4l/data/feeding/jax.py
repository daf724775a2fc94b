"""The JAX side: Keras reads the batches as they are."""

import contextlib


def fed(batches) -> contextlib.AbstractContextManager:
    """The batches themselves."""
    return contextlib.nullcontext(batches)
