"""Trunks, and the network that adds heads to a trunk.

A trunk is a function that builds a Keras model from preprocessed images to feature
maps. It is registered next to its definition, here or in a plug-in:

    @register_trunk("my_net")
    def my_net(input_shape, *, width=1.0, dropout=0.0, synchronized=False):
        inputs = keras.Input(input_shape)
        features = keras.layers.Conv2D(round(32 * width), 3, name="block1_conv")(inputs)
        ...
        return keras.Model(inputs, features, name="trunk")

Args:
    input_shape: `(height, width, channels)` of preprocessed images.
    width: Factor on every number of filters.
    dropout: Drop rate; the trunk's docstring says where it applies.
    synchronized: Whether batch normalisation computes its statistics over all
        TensorFlow replicas.

The model maps float `(batch, height, width, channels)` to features
`(batch, rows, columns, channels)`. Layers are named by blocks: `stem...`, then
`block1...`, `block2...`; the last layer of a block outputs the block's feature map. The
library's trunks raise an `InputError` for images that are too small for the trunk.

Options of the decorator: `zca=False` if images are not whitened by default;
`normalization` and `crop`, the defaults of these settings; `svhn_dropout`, the default
of `dropout` on SVHN; `pretrained`, an object like `pretrained.Application` that loads
the files of the setting `weights`; `tested_with={"width": 0.25}` if the trunk must be
wider in contract tests, which use width 0.03 by default; `tested_as`, the name of a
trunk that the same code builds and that is tested instead.
"""

from color_s4l.networks.network import Network, inference_model
from color_s4l.registry import TRUNKS

__all__ = ["TRUNKS", "Network", "inference_model"]
