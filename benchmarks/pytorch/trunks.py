"""The trunks by the names that ours have."""

import functools

from benchmarks.pytorch.convnet import NIN, ConvNet
from benchmarks.pytorch.encoder import Encoder
from benchmarks.pytorch.resnet18 import ResNet18
from benchmarks.pytorch.resnet50 import ResNet50
from benchmarks.pytorch.resnet_v2 import ResNetV2
from benchmarks.pytorch.revnet18 import RevNet18
from benchmarks.pytorch.shake_wrn import ShakeWRN
from benchmarks.pytorch.vgg16 import VGG16
from benchmarks.pytorch.wrn import WRN
from benchmarks.pytorch.wrn_usb import WRNUSB

TRUNKS = {
    "convnet": ConvNet,
    "convnet_relu": functools.partial(ConvNet, slope=0.0),
    "nin": functools.partial(ConvNet, blocks=NIN, slope=0.0, last_padding="same"),
    "wrn_28_2": functools.partial(WRN, widening=2),
    "wrn_28_4": functools.partial(WRN, widening=4),
    "wrn_28_2_usb": functools.partial(WRNUSB, widening=2),
    "shake_wrn": ShakeWRN,
    "resnet50": ResNet50,
    "vgg16": VGG16,
    "resnet_v2_50": functools.partial(ResNetV2, depth=50),
    "resnet_v2_101": functools.partial(ResNetV2, depth=101),
    "resnet_v2_152": functools.partial(ResNetV2, depth=152),
    "resnet18": ResNet18,
    "tempens": functools.partial(ConvNet, dropout=0.5),
    "revnet18": RevNet18,
    "encoder": Encoder,
}
