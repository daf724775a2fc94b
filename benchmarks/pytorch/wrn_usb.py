"""Wide residual network with strides, as the USB benchmark trains it."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.pytorch.layers import convolution, scaled

SLOPE = 0.1


class WRNUSB(nn.Sequential):
    """A stem and three stages.

    Args:
        width: Factor on every number of filters.
        widening: The stages have 16, 32 and 64 times as many filters.
        units: Residual blocks in each stage.
    """

    def __init__(self, width: float, *, widening: int, units: int = 4):
        super().__init__()
        self.channels = scaled(16, width)
        self.stem_conv = nn.Conv2d(3, self.channels, 3, padding=1)
        for stage in (1, 2, 3):
            filters = scaled(16 * widening * 2 ** (stage - 1), width)
            block = nn.Sequential()
            for number in range(1, units + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                normalized = stage == 1 or number > 1
                unit = Residual(self.channels, filters, stride, normalized, number == 1)
                block.add_module(f"{number}", unit)
                self.channels = filters
            self.add_module(f"block{stage}", block)
        self.block3_norm = normalization(filters, epsilon=1e-3)
        self.relu = nn.LeakyReLU(SLOPE, inplace=True)


class Residual(nn.Module):
    """Two 3x3 convolutions, added to the shortcut.

    Args:
        channels: Of the input.
        filters: Channels of the output.
        stride: Of the first convolution and the shortcut's.
        normalized: Whether the input is normalised and activated first.
        convolved: Whether the shortcut is a 1x1 convolution, of the activated input.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        stride: int,
        normalized: bool,
        convolved: bool,
    ):
        super().__init__()
        self.first_norm = normalization(channels) if normalized else None
        self.shortcut_conv = None
        if convolved:
            self.shortcut_conv = convolution(channels, filters, 1, stride)
        self.first_conv = convolution(channels, filters, 3, stride)
        self.second_norm = normalization(filters)
        self.second_conv = convolution(filters, filters, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        activated = images
        if self.first_norm:
            activated = functional.leaky_relu(
                self.first_norm(images), SLOPE, inplace=True
            )
        shortcut = self.shortcut_conv(activated) if self.shortcut_conv else images
        features = self.second_norm(self.first_conv(activated))
        features = functional.leaky_relu(features, SLOPE, inplace=True)
        return shortcut + self.second_conv(features)


def normalization(filters: int, epsilon: float = 1e-5) -> nn.BatchNorm2d:
    """Batch normalisation with slow moving statistics."""
    return nn.BatchNorm2d(filters, eps=epsilon, momentum=0.001)
