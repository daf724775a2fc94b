"""The ConvNet of color_s4l.networks.convnet in PyTorch."""

import typing

import torch
from torch import nn
from torch.nn import functional

# Filters and kernel size of each convolution, block by block.
BLOCKS = (
    ((128, 3), (128, 3), (128, 3)),
    ((256, 3), (256, 3), (256, 3)),
    ((512, 3), (256, 1), (128, 1)),
)
SLOPE = 0.1


class Unit(nn.Module):
    """A convolution, batch normalisation and leaky ReLU."""

    def __init__(self, channels: int, filters: int, size: int, padding: str):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, size, padding=padding)
        # PyTorch's momentum is 1 - Keras' momentum.
        self.norm = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Applies the unit to feature maps `(batch, channels, rows, columns)`."""
        return functional.leaky_relu(self.norm(self.conv(images)), SLOPE, inplace=True)


def build(width: float) -> nn.Sequential:
    """Returns the trunk without dropout.

    Args:
        width: Factor on the number of filters.
    """
    trunk: typing.Any = nn.Sequential()
    channels = 3
    for number, units in enumerate(BLOCKS, start=1):
        last = number == len(BLOCKS)
        block = nn.Sequential()
        for unit, (filters, size) in enumerate(units, start=1):
            filters = max(1, round(filters * width))
            padding = "valid" if last else "same"
            block.add_module(str(unit), Unit(channels, filters, size, padding))
            channels = filters
        if not last:
            block.add_module("pool", nn.MaxPool2d(2))
        trunk.add_module(f"block{number}", block)
    trunk.channels = channels
    return trunk
