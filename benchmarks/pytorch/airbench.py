"""The trunk of color_s4l.networks.airbench in PyTorch."""

import typing

import torch
from torch import nn
from torch.nn import functional

FILTERS = (64, 256, 256)
STEM = 24
# PyTorch's GELU is one fused kernel. The library's sigmoid form would be three kernels
# in PyTorch, and slower.
gelu = functional.gelu


class Whitening(nn.Module):
    """A 2x2 convolution with a fixed kernel and a trained bias."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(STEM, 3, 2, 2))
        self.bias = nn.Parameter(torch.zeros(STEM))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns features of images `(batch, 3, height, width)`."""
        return functional.conv2d(images, self.weight, self.bias)


class Stem(nn.Module):
    """The whitening convolution and GELU."""

    def __init__(self):
        super().__init__()
        self.whitening = Whitening()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns features of images `(batch, 3, height, width)`."""
        return gelu(self.whitening(images))


class Unit(nn.Module):
    """A convolution, optional max-pooling, batch normalisation and GELU."""

    def __init__(self, channels: int, filters: int, pool: bool):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, padding="same", bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        # PyTorch's momentum is 1 - Keras' momentum.
        self.norm = nn.BatchNorm2d(filters, eps=1e-5, momentum=0.4)
        # The library's batch normalisation has no scale, so PyTorch's is not trained.
        del self.norm.weight
        self.norm.register_buffer("weight", torch.ones(filters))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns features of images `(batch, channels, height, width)`."""
        return gelu(self.norm(self.pool(self.conv(images))))


class Largest(nn.Module):
    """The maximum over all positions, divided by 9."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps `(batch, channels, height, width)` to `(batch, channels, 1, 1)`."""
        return images.amax(dim=(2, 3), keepdim=True) / 9


def build(width: float) -> nn.Sequential:
    """Returns the trunk; the whitening kernel is random and is not trained.

    Args:
        width: Factor on the number of filters of the blocks.
    """
    trunk: typing.Any = nn.Sequential()
    trunk.add_module("stem", Stem())
    channels = STEM
    for number, filters in enumerate(FILTERS, start=1):
        filters = max(1, round(filters * width))
        block = nn.Sequential()
        block.add_module("1", Unit(channels, filters, pool=True))
        block.add_module("2", Unit(filters, filters, pool=False))
        trunk.add_module(f"block{number}", block)
        channels = filters
    trunk.add_module("largest", Largest())
    trunk.channels = channels
    return trunk
