"""The colorizers' encoder: eight convolutions, no normalisation."""

from torch import nn

from benchmarks.pytorch.layers import convolution, scaled

# Filters and stride of each convolution.
UNITS = (
    (64, 2),
    (128, 1),
    (128, 2),
    (256, 1),
    (256, 2),
    (512, 1),
    (512, 1),
    (256, 1),
)


class Encoder(nn.Sequential):
    """3x3 convolutions with biases and ReLU.

    Args:
        width: Factor on every number of filters.
    """

    def __init__(self, width: float):
        super().__init__()
        self.channels, block = 3, 0
        for number, (filters, stride) in enumerate(UNITS, start=1):
            block += stride > 1  # a block begins where the image is halved
            filters = scaled(filters, width)
            conv = convolution(self.channels, filters, 3, stride, bias=True)
            self.add_module(f"block{block}_{number}_conv", conv)
            self.add_module(f"block{block}_{number}_relu", nn.ReLU(inplace=True))
            self.channels = filters
