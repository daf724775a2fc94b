"""RevNet-18: the plan of ResNet-18 with reversible blocks."""

from torch import nn

from benchmarks.pytorch.layers import Unit, convolution, normalization, scaled
from benchmarks.pytorch.resnet18 import Basic
from benchmarks.pytorch.reversible import ReversibleStage


class RevNet18(nn.Sequential):
    """A stem and four stages, of which all but the first begin with a plain block.

    Args:
        width: Factor on every number of filters.
        units: Blocks in each stage.
    """

    def __init__(self, width: float, *, units: int = 2):
        super().__init__()
        self.channels = 2 * scaled(32, width)
        self.stem = Unit(convolution(3, self.channels, 3))
        for stage in (1, 2, 3, 4):
            filters = 2 * scaled(32 * 2 ** (stage - 1), width)
            block, reversible = nn.Sequential(), units
            if stage > 1:
                block.add_module("1", Basic(self.channels, filters, 2))
                reversible -= 1
            block.add_module("reversible", ReversibleStage(filters, reversible))
            block.add_module("norm", normalization(filters))
            block.add_module("relu", nn.ReLU(inplace=True))
            self.add_module(f"block{stage}", block)
            self.channels = filters
