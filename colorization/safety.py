"""A file is data: only layers of a colorizer are built from it, nothing is run."""

from color_s4l.artifacts import keras_files

_LAYERS = {
    "Functional",
    "InputLayer",
    "Activation",
    "Add",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "CustomScaleLayer",
    "Dense",
    "GlobalAveragePooling2D",
    "MaxPooling2D",
    "Reshape",
    "Resizing",
    "UpSampling2D",
}
# What the layers' configurations name besides layers.
_VALUES = {
    "DTypePolicy",
    "GlorotUniform",
    "Ones",
    "RandomUniform",
    "Zeros",
    "__keras_tensor__",
}


def foreign_classes(config: dict) -> list[str]:
    """The classes in a model's configuration that no colorizer consists of.

    Args:
        config: A Keras model's configuration, from a `.h5` or `.keras` file.

    Returns:
        Sorted names without repetition; empty for every colorizer of ours.
    """
    return keras_files.foreign_classes(config, _LAYERS | _VALUES)
