"""Wide residual network with max-poolings."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.pytorch.layers import Unit, convolution, normalization, scaled


class WRN(nn.Sequential):
    """A stem and three stages.

    Args:
        width: Factor on every number of filters.
        widening: The stages have 16, 32 and 64 times as many filters.
        units: Residual blocks in each stage.
    """

    def __init__(self, width: float, *, widening: int, units: int = 4):
        super().__init__()
        self.channels = scaled(16, width)
        self.stem = Unit(convolution(3, self.channels, 3))
        for stage in (1, 2, 3):
            filters = scaled(16 * widening * 2 ** (stage - 1), width)
            block = nn.Sequential()
            block.add_module("1", Expansion(self.channels, filters))
            if stage > 1:
                block.add_module("pool", nn.MaxPool2d(2))
            for number in range(2, units + 1):
                block.add_module(f"{number}", Residual(filters))
            block.add_module("norm", normalization(filters))
            block.add_module("relu", nn.ReLU(inplace=True))
            self.add_module(f"block{stage}", block)
            self.channels = filters


class Expansion(nn.Module):
    """Two convolutions beside a 1x1 one; the input is already activated."""

    def __init__(self, channels: int, filters: int):
        super().__init__()
        self.shortcut_conv = convolution(channels, filters, 1)
        self.first_conv = convolution(channels, filters, 3)
        self.second_norm = normalization(filters)
        self.second_conv = convolution(filters, filters, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        features = self.second_norm(self.first_conv(images))
        features = self.second_conv(functional.relu(features, inplace=True))
        return self.shortcut_conv(images) + features


class Residual(nn.Module):
    """Normalisation, ReLU, convolution, twice, added to the input."""

    def __init__(self, filters: int):
        super().__init__()
        self.first_norm = normalization(filters)
        self.first_conv = convolution(filters, filters, 3)
        self.second_norm = normalization(filters)
        self.second_conv = convolution(filters, filters, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, filters, rows, columns)`."""
        features = functional.relu(self.first_norm(images), inplace=True)
        features = self.second_norm(self.first_conv(features))
        return images + self.second_conv(functional.relu(features, inplace=True))
