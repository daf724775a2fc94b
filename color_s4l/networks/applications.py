"""ResNet-50 and VGG-16 of `keras.applications`, with random initial weights.

ResNet-50: He et al. 2016 (https://arxiv.org/abs/1512.03385), with the stem for
ImageNet: a 7x7 convolution and a pooling, both with strides of 2. The Color-S4L report
trains this network on images of 32 px, for which the last feature map has one pixel.

VGG-16: Simonyan & Zisserman 2015 (https://arxiv.org/abs/1409.1556): thirteen
convolutions, five max-poolings, no batch normalisation; here without the dense layers.
"""

import re

import keras

from color_s4l.networks import parts
from color_s4l.registry import register_trunk

RESNET_NAMES = {
    r"^conv1_": "stem_",
    r"^pool1_": "stem_pool_",
    r"^conv2_block": "block1_",
    r"^conv3_block": "block2_",
    r"^conv4_block": "block3_",
    r"^conv5_block": "block4_",
}


def _resnet_name(name: str) -> str:
    for pattern, replacement in RESNET_NAMES.items():
        name = re.sub(pattern, replacement, name)
    return name


@register_trunk("resnet50")
def resnet50(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds Keras' ResNet-50: 2048 * width channels; 1 x 1 features for 32 pixels.

    Width 1 has Keras' 23,534,592 trainable parameters and 53,120 moving statistics.
    Dropout is applied to the last feature map (published: 0).
    Images need sides of at least 32 pixels.
    """
    parts.check_size("ResNet-50", input_shape, 32)
    original = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=input_shape
    )
    return parts.adapted(
        original, _resnet_name, width=width, dropout=dropout, synchronized=synchronized
    )


# `tested_with`: contract tests need this width. Without normalisation, the last ReLUs
# of a narrower trunk only output 0.
@register_trunk("vgg16", tested_with={"width": 0.25})
def vgg16(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds Keras' VGG-16: 512 * width channels; 1 x 1 features for 32 pixels.

    Width 1 has Keras' 14,714,688 trainable parameters. Dropout is applied to the last
    feature map (published: only in the dense layers, which the trunk does not have).
    `synchronized` has no effect, as there are no batch statistics. Images
    need sides of at least 32 pixels.
    """
    parts.check_size("VGG-16", input_shape, 32)
    original = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=input_shape
    )
    return parts.adapted(
        original, str, width=width, dropout=dropout, synchronized=synchronized
    )
