"""Residual network of 34 layers with Shake-Shake regularisation."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.pytorch.layers import Unit, convolution, normalization, scaled

UNITS = (3, 4, 6, 3)


class ShakeWRN(nn.Sequential):
    """A stem and four stages of units with two branches.

    Args:
        width: Factor on every number of filters.
    """

    def __init__(self, width: float):
        super().__init__()
        self.channels = scaled(16, width)
        self.stem = Unit(convolution(3, self.channels, 3), slope=None)
        for stage, units in enumerate(UNITS, start=1):
            filters = 2 * scaled(16 * 2 ** (stage - 1), width)
            block = nn.Sequential()
            for number in range(1, units + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                block.add_module(f"{number}", Shaken(self.channels, filters, stride))
                self.channels = filters
            self.add_module(f"block{stage}", block)
        self.relu = nn.ReLU(inplace=True)


class Shaken(nn.Module):
    """ReLU, two branches, shaken, added to the shortcut."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.shortcut = None
        if stride > 1:
            self.shortcut = Halved(channels, filters)
        elif channels != filters:
            self.shortcut = Unit(convolution(channels, filters, 1), slope=None)
        self.left = branch(channels, filters, stride)
        self.right = branch(channels, filters, stride)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`, in training."""
        activated = functional.relu(images)
        left, right = self.left(activated), self.right(activated)
        shaken = shake(left, right, draw(left), draw(left))
        return (self.shortcut(activated) if self.shortcut else images) + shaken


def branch(channels: int, filters: int, stride: int) -> nn.Sequential:
    """Two 3x3 convolutions with batch normalisation."""
    units = nn.Sequential()
    units.add_module("first", Unit(convolution(channels, filters, 3, stride)))
    units.add_module("second", Unit(convolution(filters, filters, 3), slope=None))
    return units


class Halved(nn.Module):
    """Every second pixel, and their lower right neighbours, half the filters each."""

    def __init__(self, channels: int, filters: int):
        super().__init__()
        self.here_conv = convolution(channels, filters // 2, 1, 2)
        self.moved_conv = convolution(channels, filters - filters // 2, 1, 2)
        self.norm = normalization(filters)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        moved = functional.pad(images, (-1, 1, -1, 1))
        both = torch.cat([self.here_conv(images), self.moved_conv(moved)], dim=1)
        return self.norm(both)


def draw(images: torch.Tensor) -> torch.Tensor:
    """A weight for each image, uniform in [0, 1), `(batch, 1, 1, 1)`."""
    return torch.rand(len(images), 1, 1, 1, dtype=images.dtype, device=images.device)


def shake(first, second, forward, backward) -> torch.Tensor:
    """`forward` mixes the values, `backward` the gradients."""
    mixture = backward * first + (1 - backward) * second
    return mixture + ((forward - backward) * (first - second)).detach()
