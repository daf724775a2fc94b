"""The pieces that several trunks are made of.

Layers are named as ours are: `block1.1.first.conv` is Keras' `block1_1_first_conv`.
"""

import torch
from torch import nn
from torch.nn import functional


def scaled(filters: int, width: float) -> int:
    """`filters * width`, rounded, at least 1."""
    return max(1, round(filters * width))


def normalization(filters: int) -> nn.BatchNorm2d:
    """Batch normalisation with the epsilon and momentum of our trunks."""
    # PyTorch's momentum is the share of the new, Keras' that of the old.
    return nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)


def convolution(
    channels: int, filters: int, size: int, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    """A convolution, padded as ours are.

    Args:
        channels: Of the input.
        filters: Channels of the output.
        size: Side of the kernel, odd.
        stride: Step between outputs, in pixels of the input.
        bias: Whether a bias is added.

    Returns:
        A module to float `(batch, filters, ceil(rows / stride), ceil(columns /
        stride))`.
    """
    if stride == 1 or size == 1:
        return nn.Conv2d(channels, filters, size, stride, size // 2, bias=bias)
    return Strided(channels, filters, size, stride, bias=bias)


class Strided(nn.Conv2d):
    """A convolution with strides, padded as TensorFlow does: the odd pixel at the end.

    PyTorch's own padding is equal on both sides, so that this one takes a copy.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        height, width = (
            _padding(*sides)
            for sides in zip(
                images.shape[2:], self.kernel_size, self.stride, strict=True
            )
        )
        return super().forward(functional.pad(images, (*width, *height)))


def _padding(side: int, size: int, stride: int) -> tuple[int, int]:
    outputs = -(-side // stride)
    missing = max(0, (outputs - 1) * stride + size - side)
    return missing // 2, missing - missing // 2


class Unit(nn.Module):
    """A convolution, batch normalisation and, unless `slope` is None, (leaky) ReLU.

    Args:
        conv: The convolution.
        slope: Of the ReLU below 0.
    """

    def __init__(self, conv: nn.Conv2d, slope: float | None = 0.0):
        super().__init__()
        self.conv, self.norm = conv, normalization(conv.out_channels)
        self.slope = slope

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`."""
        features = self.norm(self.conv(images))
        if self.slope is None:
            return features
        return functional.leaky_relu(features, self.slope, inplace=True)
