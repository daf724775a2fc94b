"""Colourises grey images: a small library of its own, and its three commands.

The pipeline's order: lab -> networks -> embeddings -> training -> saving ->
colorizer -> metrics and pictures. The library knows arrays of images only; where
images come from is known by the commands train, evaluate and colorize.
"""


def custom_objects() -> dict[str, type]:
    """What `keras.models.load_model` needs to open a colorizer's file.

    A file of the network `encoder_decoder` needs none of it; one of
    `inception_fusion` needs the layer that scales Inception-ResNet's residuals,
    which Keras does not register.

    Returns:
        The class `CustomScaleLayer` by its name, for
        `load_model(..., custom_objects=...)`.
    """
    # Here and not above: `import colorization` must not cost Keras' start.
    from colorization.networks.inception import CustomScaleLayer

    return {"CustomScaleLayer": CustomScaleLayer}
