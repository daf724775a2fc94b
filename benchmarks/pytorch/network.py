"""A trunk, global average pooling, and a linear head per task."""

import torch
from torch import nn


class Network(nn.Module):
    """What color_s4l.networks.Network is.

    Args:
        trunk: From images to `trunk.channels` feature maps.
        heads: Name of each head -> its number of classes.
        dropout: Share of the pooled features dropped before the class head.
    """

    def __init__(self, trunk: nn.Module, heads: dict[str, int], dropout: float):
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(trunk.channels, size) for name, size in heads.items()}
        )

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits of each head, float32 `(batch, classes)`.

        Args:
            images: Preprocessed, float `(batch, 3, height, width)`.
        """
        pooled = self.trunk(images).mean(dim=(2, 3))
        inputs = {"class": self.dropout(pooled)}
        return {
            name: head(inputs.get(name, pooled)).float()
            for name, head in self.heads.items()
        }

    @property
    def kernels(self) -> list[torch.Tensor]:
        """The weights that decay: of convolutions and heads."""
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return [layer.weight for layer in layers]
