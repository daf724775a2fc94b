"""ResNet-50 as Keras has it: with biases, and the strides in the first convolution."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.pytorch.layers import scaled

BLOCKS = (3, 4, 6, 3)


class ResNet50(nn.Sequential):
    """A stem that shrinks by 4, and four stages of bottlenecks.

    Args:
        width: Factor on every number of filters.
    """

    def __init__(self, width: float):
        super().__init__()
        self.channels = scaled(64, width)
        self.stem = Unit(3, self.channels, 7, stride=2)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        for stage, count in enumerate(BLOCKS, start=1):
            filters = 64 * 2 ** (stage - 1)
            inner, outer = scaled(filters, width), scaled(4 * filters, width)
            block = nn.Sequential()
            for number in range(1, count + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                shortcut = nn.Identity()
                if number == 1:
                    shortcut = Unit(self.channels, outer, 1, stride, activated=False)
                bottleneck = Bottleneck(shortcut, self.channels, inner, outer, stride)
                block.add_module(f"{number}", bottleneck)
                self.channels = outer
            self.add_module(f"block{stage}", block)


class Bottleneck(nn.ModuleList):
    """1x1, 3x3 and 1x1 convolutions, added to the shortcut, then ReLU.

    Args:
        shortcut: From the input to `outer` channels.
        channels: Of the input.
        inner: Channels of the first two convolutions.
        outer: Channels of the output.
        stride: Of the first convolution.
    """

    def __init__(
        self, shortcut: nn.Module, channels: int, inner: int, outer: int, stride: int
    ):
        first = Unit(channels, inner, 1, stride)
        last = Unit(inner, outer, 1, activated=False)
        super().__init__([shortcut, first, Unit(inner, inner, 3), last])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        shortcut, first, second, third = self
        total = shortcut(images) + third(second(first(images)))
        return functional.relu(total, inplace=True)


class Unit(nn.Module):
    """A convolution, batch normalisation and, if `activated`, ReLU."""

    def __init__(
        self,
        channels: int,
        filters: int,
        size: int,
        stride: int = 1,
        activated: bool = True,
    ):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, size, stride, padding=size // 2)
        self.bn = nn.BatchNorm2d(filters, eps=1.001e-5, momentum=0.01)
        self.activated = activated

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        features = self.bn(self.conv(images))
        return functional.relu(features, inplace=True) if self.activated else features
