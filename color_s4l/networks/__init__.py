"""The trunks, one per file, and the network that puts heads on one."""

import functools

from color_s4l.networks import freezing
from color_s4l.networks.convnet import convnet
from color_s4l.networks.encoder import encoder
from color_s4l.networks.network import Network, inference_model
from color_s4l.networks.nin import nin
from color_s4l.networks.resnet18 import resnet18
from color_s4l.networks.resnet50 import resnet50
from color_s4l.networks.resnet_v2 import resnet_v2
from color_s4l.networks.revnet18 import revnet18
from color_s4l.networks.shake_wrn import shake_wrn
from color_s4l.networks.tempens import tempens
from color_s4l.networks.vgg16 import vgg16
from color_s4l.networks.wrn import wrn
from color_s4l.networks.wrn_usb import wrn_usb

TRUNKS = {
    "convnet": convnet,
    "convnet_relu": functools.partial(convnet, slope=0.0),
    "nin": nin,
    "wrn_28_2": functools.partial(wrn, depth=28, widening=2),
    "wrn_28_4": functools.partial(wrn, depth=28, widening=4),
    "wrn_28_2_usb": functools.partial(wrn_usb, depth=28, widening=2),
    "shake_wrn": shake_wrn,
    "resnet50": resnet50,
    "vgg16": vgg16,
    "resnet_v2_50": functools.partial(resnet_v2, depth=50),
    "resnet_v2_101": functools.partial(resnet_v2, depth=101),
    "resnet_v2_152": functools.partial(resnet_v2, depth=152),
    "resnet18": resnet18,
    "tempens": tempens,
    "revnet18": revnet18,
    "encoder": encoder,
}

__all__ = ["TRUNKS", "Network", "convnet", "freezing", "inference_model"]
