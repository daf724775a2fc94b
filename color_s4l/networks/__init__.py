"""The trunks, one per file, and the network that puts heads on one."""

from color_s4l.networks.convnet import convnet
from color_s4l.networks.network import Network, inference_model

TRUNKS = {"convnet": convnet}

__all__ = ["TRUNKS", "Network", "convnet", "inference_model"]
