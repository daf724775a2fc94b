"""ResNet v2 with bottlenecks: 50, 101 and 152 layers."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.pytorch.layers import convolution, normalization, scaled

UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ResNetV2(nn.Sequential):
    """A stem that shrinks by 4, and four stages of bottlenecks.

    Args:
        width: Factor on every number of filters.
        depth: 50, 101 or 152.
    """

    def __init__(self, width: float, *, depth: int):
        super().__init__()
        self.channels = scaled(64, width)
        self.stem_conv = convolution(3, self.channels, 7, 2)
        self.stem_pool = Pooling()
        for stage, units in enumerate(UNITS[depth], start=1):
            filters = scaled(64 * 2 ** (stage - 1), width)
            block = nn.Sequential()
            for number in range(1, units + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                bottleneck = Bottleneck(self.channels, filters, stride, number == 1)
                block.add_module(f"{number}", bottleneck)
                self.channels = 4 * filters
            self.add_module(f"block{stage}", block)
        self.block4_norm = normalization(self.channels)
        self.relu = nn.ReLU(inplace=True)


class Pooling(nn.Module):
    """The maximum of 3x3 pixels, every second one; padded as TensorFlow does."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        # The odd pixel at the end is ceil_mode's; odd sides have one on either side.
        padding = [side % 2 for side in images.shape[2:]]
        return functional.max_pool2d(images, 3, 2, padding, ceil_mode=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions to four times the filters, added to the input.

    Args:
        channels: Of the input.
        filters: Channels of the first two convolutions.
        stride: Of the second convolution and the shortcut's.
        convolved: Whether the shortcut is a 1x1 convolution.
    """

    def __init__(self, channels: int, filters: int, stride: int, convolved: bool):
        super().__init__()
        self.shortcut_conv = None
        if convolved:
            self.shortcut_conv = convolution(channels, 4 * filters, 1, stride)
        self.first_norm = normalization(channels)
        self.first_conv = convolution(channels, filters, 1)
        self.second_norm = normalization(filters)
        self.second_conv = convolution(filters, filters, 3, stride)
        self.third_norm = normalization(filters)
        self.third_conv = convolution(filters, 4 * filters, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        activated = functional.relu(self.first_norm(images), inplace=True)
        shortcut = self.shortcut_conv(activated) if self.shortcut_conv else images
        features = self.second_norm(self.first_conv(activated))
        features = self.second_conv(functional.relu(features, inplace=True))
        features = functional.relu(self.third_norm(features), inplace=True)
        return shortcut + self.third_conv(features)
