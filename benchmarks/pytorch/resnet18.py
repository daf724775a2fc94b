"""ResNet-18 with the stem for small images."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.pytorch.layers import Unit, convolution, scaled


class ResNet18(nn.Sequential):
    """A stem and four stages of two blocks.

    Args:
        width: Factor on every number of filters.
    """

    def __init__(self, width: float):
        super().__init__()
        self.channels = scaled(64, width)
        self.stem = Unit(convolution(3, self.channels, 3))
        for stage in (1, 2, 3, 4):
            filters = scaled(64 * 2 ** (stage - 1), width)
            block = nn.Sequential()
            for number in (1, 2):
                stride = 2 if stage > 1 and number == 1 else 1
                block.add_module(f"{number}", Basic(self.channels, filters, stride))
                self.channels = filters
            self.add_module(f"block{stage}", block)


class Basic(nn.Module):
    """Two 3x3 convolutions, added to the input, then ReLU."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.first = Unit(convolution(channels, filters, 3, stride))
        self.second = Unit(convolution(filters, filters, 3), slope=None)
        self.shortcut = nn.Identity()
        if stride > 1 or channels != filters:
            conv = convolution(channels, filters, 1, stride)
            self.shortcut = Unit(conv, slope=None)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        total = self.shortcut(images) + self.second(self.first(images))
        return functional.relu(total, inplace=True)
