"""The 13-layer ConvNet, temporal ensembling's network and NIN."""

from torch import nn

from benchmarks.pytorch.layers import Unit, scaled

# Filters and side of the kernel of each convolution, block by block.
CONVNET = (
    ((128, 3), (128, 3), (128, 3)),
    ((256, 3), (256, 3), (256, 3)),
    ((512, 3), (256, 1), (128, 1)),
)
NIN = (
    ((192, 5), (160, 1), (96, 1)),
    ((192, 5), (192, 1), (192, 1)),
    ((192, 3), (192, 1), (192, 1)),
)


class ConvNet(nn.Sequential):
    """Convolutions, each with batch normalisation and (leaky) ReLU; poolings between.

    Args:
        width: Factor on every number of filters.
        blocks: Filters and side of the kernel of each convolution, block by block.
        slope: Of the ReLU below 0.
        last_padding: Of the last block's convolutions; the others' is "same".
        dropout: After each pooling.
    """

    def __init__(
        self,
        width: float,
        *,
        blocks=CONVNET,
        slope: float = 0.1,
        last_padding: str = "valid",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.channels = 3
        for number, units in enumerate(blocks, start=1):
            last = number == len(blocks)
            block = self._block(units, width, last_padding if last else "same", slope)
            if not last:
                block.add_module("pool", nn.MaxPool2d(2))
                block.add_module("dropout", nn.Dropout(dropout))
            self.add_module(f"block{number}", block)

    def _block(self, units, width, padding, slope) -> nn.Sequential:
        block = nn.Sequential()
        for number, (filters, size) in enumerate(units, start=1):
            filters = scaled(filters, width)
            conv = nn.Conv2d(self.channels, filters, size, padding=padding)
            block.add_module(f"{number}", Unit(conv, slope))
            self.channels = filters
        return block
