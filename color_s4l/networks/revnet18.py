"""RevNet-18: the plan of ResNet-18 with reversible blocks.

Gomez et al. 2017 (https://arxiv.org/abs/1707.04585) and Rebuffi et al., who made
theirs "to match the ResNet-18: four main blocks and the same type of downsampling".
"""

import keras
from keras import layers

from color_s4l.networks import parts
from color_s4l.networks.resnet18 import STAGES, basic_block
from color_s4l.networks.reversible import ReversibleStage


def revnet18(
    input_shape: tuple[int, int, int],
    *,
    units: int = 2,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    A stage has `units` blocks. The first of stages 2 to 4 halves the image and is
    ResNet-18's, as no halving can be reversed; all others are reversible. Open choice:
    both streams together have as many channels as ResNet-18.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 8.
        units: Blocks in each stage, 2 or more; the memory for activations does not
            grow with them.
        width: Factor on every number of filters.
        dropout: After each reversible chain (published: 0), as a recomputed branch
            must do the same twice.
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to features `(batch, rows, columns, 512 * width)`;
        4 rows and columns for 32 pixels.

    Raises:
        InputError: The images are smaller than 8 pixels.
    """
    parts.check_size("RevNet-18", input_shape, 8)
    inputs = keras.Input(input_shape)
    features = parts.convolve(inputs, 2 * parts.scaled(32, width), 3, "stem")
    features = parts.normalize_and_activate(features, "stem", synchronized)
    for stage in STAGES:
        name = f"block{stage}"
        reversible = units
        if stage > 1:
            filters = 2 * parts.scaled(32 * 2 ** (stage - 1), width)
            features = basic_block(features, filters, 2, f"{name}_1", 0.0, synchronized)
            reversible = units - 1
        features = ReversibleStage(reversible, synchronized, name=f"{name}_reversible")(
            features
        )
        features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
        features = parts.normalize_and_activate(features, name, synchronized)
    return keras.Model(inputs, features, name="trunk")
