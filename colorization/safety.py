"""A file is data: only layers of a colorizer are built from it, nothing is run.

Keras' safe mode refuses Python code in Lambda layers, but still looks up and calls
whatever else a configuration names. A colorizer consists of few layer classes, so
that the file's configuration is read as JSON first, and any other class refused
before Keras sees it.
"""

from collections.abc import Iterator

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


def _class_names(config: object) -> Iterator[str]:
    """Every class that a configuration names, at any depth."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield str(config["class_name"])
        children = list(config.values())
    else:
        children = config if isinstance(config, list) else []
    for child in children:
        yield from _class_names(child)


def foreign_classes(config: dict) -> list[str]:
    """The classes in a model's configuration that no colorizer consists of.

    Args:
        config: A Keras model's configuration, from a `.h5` or `.keras` file.

    Returns:
        Sorted names without repetition; empty for every colorizer of ours.
    """
    return sorted(set(_class_names(config)) - _LAYERS - _VALUES)
