"""VGG-16 without its dense layers: no batch normalisation."""

from torch import nn

from benchmarks.pytorch.layers import scaled

# Convolutions and filters of each block.
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


class VGG16(nn.Sequential):
    """Thirteen convolutions, five poolings.

    Args:
        width: Factor on every number of filters.
    """

    def __init__(self, width: float):
        super().__init__()
        self.channels = 3
        for number, (convolutions, filters) in enumerate(BLOCKS, start=1):
            filters, block = scaled(filters, width), nn.Sequential()
            for place in range(1, convolutions + 1):
                conv = nn.Conv2d(self.channels, filters, 3, padding=1)
                block.add_module(f"conv{place}", conv)
                block.add_module(f"relu{place}", nn.ReLU(inplace=True))
                self.channels = filters
            block.add_module("pool", nn.MaxPool2d(2))
            self.add_module(f"block{number}", block)
