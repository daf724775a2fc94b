"""The 13-layer ConvNet and NIN as `torch.nn` modules; layers are named as ours are."""

import functools

import torch
from torch import nn
from torch.nn import functional

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


class Blocks(nn.Module):
    """Convolutions, each with batch normalisation and (leaky) ReLU; poolings between.

    Args:
        heads: Name of each head -> its number of classes.
        width: Factor on every number of filters.
        dropout: Share of the pooled features dropped before the class head.
        blocks: Filters and side of the kernel of each convolution, block by block.
        slope: Of the ReLU below 0.
        last_padding: Of the last block's convolutions; the others' is "same".
    """

    def __init__(
        self,
        heads: dict[str, int],
        width: float,
        dropout: float,
        *,
        blocks=CONVNET,
        slope: float = 0.1,
        last_padding: str = "valid",
    ):
        super().__init__()
        self.slope, self.units, channels = slope, [], 3
        for block, units in enumerate(blocks, start=1):
            padding = "same" if block < len(blocks) else last_padding
            names = [f"block{block}_{number}" for number, _ in enumerate(units, 1)]
            for name, (filters, size) in zip(names, units, strict=True):
                filters = max(1, round(filters * width))
                convolution = nn.Conv2d(channels, filters, size, padding=padding)
                # PyTorch's momentum is the share of the new, Keras' that of the old.
                norm = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
                self.add_module(f"{name}_conv", convolution)
                self.add_module(f"{name}_norm", norm)
                channels = filters
            self.units.append(names)
        self.dropout = nn.Dropout(dropout)
        self.heads = tuple(heads)
        for name, size in heads.items():
            self.add_module(name, nn.Linear(channels, size))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits of each head, float32 `(batch, classes)`.

        Args:
            images: Preprocessed, float `(batch, 3, height, width)`.
        """
        features = images
        for number, names in enumerate(self.units):
            if number:
                features = functional.max_pool2d(features, 2)
            for name in names:
                features = self.get_submodule(f"{name}_conv")(features)
                features = self.get_submodule(f"{name}_norm")(features)
                features = functional.leaky_relu(features, self.slope, inplace=True)
        pooled = features.mean(dim=(2, 3))
        inputs = {"class": self.dropout(pooled)}
        return {
            name: self.get_submodule(name)(inputs.get(name, pooled)).float()
            for name in self.heads
        }

    @property
    def kernels(self) -> list[torch.Tensor]:
        """The weights that decay: of convolutions and heads."""
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return [layer.weight for layer in layers]


NETWORKS = {
    "convnet": Blocks,
    "nin": functools.partial(Blocks, blocks=NIN, slope=0.0, last_padding="same"),
}
