"""Keras' own ResNet-50, from scratch.

He et al. 2016 (https://arxiv.org/abs/1512.03385), with the stem for ImageNet: a 7x7
convolution and a pooling, strides of 2 each. In the Color-S4L report it is trained on
images of 32 px, of which one pixel of features remains.
"""

import keras

from color_s4l.networks import parts
from color_s4l.networks.applications import adapted

NAMES = {
    r"^conv1_": "stem_",
    r"^pool1_": "stem_pool_",
    r"^conv2_block": "block1_",
    r"^conv3_block": "block2_",
    r"^conv4_block": "block3_",
    r"^conv5_block": "block4_",
}


def resnet50(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 32.
        width: Factor on every number of filters. 1 gives Keras' 23,534,592 trainable
            parameters and 53,120 moving statistics.
        dropout: Of the last feature map (published: 0).
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to features `(batch, rows, columns, 2048 * width)`;
        1 row and column for 32 pixels.

    Raises:
        InputError: The images are smaller than 32 pixels.
    """
    parts.check_size("ResNet-50", input_shape, 32)
    original = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=input_shape
    )
    return adapted(
        original, NAMES, width=width, dropout=dropout, synchronized=synchronized
    )
