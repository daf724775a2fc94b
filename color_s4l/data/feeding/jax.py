"""The JAX side: Keras reads the batches as they are."""


def fed(batches):
    """The batches themselves."""
    return batches
