"""Colourises grey images: a small library with three commands.

The modules in the order of the pipeline: lab, hue_chroma -> histogram, embedding ->
networks -> colorizer -> training -> metrics. These modules work on arrays of images;
the commands train, evaluate and colorize read images and write files.
"""


def custom_objects() -> dict[str, type]:
    """Returns the classes that `keras.models.load_model` needs for a colorizer's file.

    The network `encoder_decoder` needs none. `inception_fusion` needs the layer that
    scales Inception-ResNet's residuals, because Keras does not register it; `histogram`
    needs the layer that decodes histograms.

    Returns:
        Name -> class, for `load_model(..., custom_objects=...)`.
    """
    # Imported here, so that `import colorization` does not start Keras.
    from colorization.embedding import CustomScaleLayer
    from colorization.histogram import Decoded

    return {"CustomScaleLayer": CustomScaleLayer, "colorization>Decoded": Decoded}
