"""Keras' own applications as trunks: other widths, names of blocks, synchronisation.

The library builds the network without weights; its layers are then made anew with
changed settings in the same graph, so that width 1 is the original to the parameter.
"""

import re
from collections.abc import Mapping

import keras
from keras import layers

from color_s4l.networks import parts
from color_s4l.networks.normalization import BatchNormalization


def adapted(
    original: keras.Model,
    names: Mapping[str, str],
    *,
    width: float,
    dropout: float,
    synchronized: bool,
) -> keras.Model:
    """A trunk from one of `keras.applications`.

    Args:
        original: Built with `include_top=False, weights=None`.
        names: Regular expressions and what stands in their place, for the names of
            layers.
        width: Factor on every number of filters.
        dropout: Of the last feature map. There is none in the published trunks.
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to the last features.
    """

    def anew(layer):
        config = layer.get_config()
        for pattern, replacement in names.items():
            config["name"] = re.sub(pattern, replacement, config["name"])
        if "filters" in config:
            config["filters"] = parts.scaled(config["filters"], width)
        if isinstance(layer, layers.BatchNormalization):
            config["synchronized"] = synchronized
            return BatchNormalization.from_config(config)
        return type(layer).from_config(config)

    model = keras.models.clone_model(original, clone_function=anew)
    last = list(parts.blocks(model))[-1]
    features = layers.Dropout(dropout, name=f"{last}_dropout")(model.outputs[0])
    return keras.Model(model.inputs[0], features, name="trunk")
