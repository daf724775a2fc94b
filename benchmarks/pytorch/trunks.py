"""The trunks by the names that ours have."""

import functools

from benchmarks.pytorch.convnet import NIN, ConvNet
from benchmarks.pytorch.resnet18 import ResNet18
from benchmarks.pytorch.resnet50 import ResNet50
from benchmarks.pytorch.shake_wrn import ShakeWRN
from benchmarks.pytorch.vgg16 import VGG16
from benchmarks.pytorch.wrn import WRN

TRUNKS = {
    "convnet": ConvNet,
    "convnet_relu": functools.partial(ConvNet, slope=0.0),
    "nin": functools.partial(ConvNet, blocks=NIN, slope=0.0, last_padding="same"),
    "wrn_28_2": functools.partial(WRN, widening=2),
    "wrn_28_4": functools.partial(WRN, widening=4),
    "shake_wrn": ShakeWRN,
    "resnet50": ResNet50,
    "vgg16": VGG16,
    "resnet18": ResNet18,
    "tempens": functools.partial(ConvNet, dropout=0.5),
}
