"""A chain of reversible residual blocks that keeps no activation but its last.

kept, changed  ->  changed + branch(kept), kept
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from benchmarks.pytorch.layers import convolution, normalization


class ReversibleStage(nn.Module):
    """Reversible blocks of equal shape, one after the other.

    Args:
        channels: Of the input, even.
        units: Blocks, of two branches each.
    """

    def __init__(self, channels: int, units: int):
        super().__init__()
        for number in range(1, 2 * units + 1):
            self.add_module(f"branch{number}", Branch(channels // 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From `(batch, channels, rows, columns)`, in training."""
        # What was added must come off again: not in half precision.
        precise = next(self.parameters()).dtype
        # Layers take twice the time for halves that lie apart in memory.
        streams = [
            half.contiguous(memory_format=torch.channels_last)
            for half in images.to(precise).chunk(2, dim=1)
        ]
        branches = tuple(self.children())
        streams = Reversible.apply(branches, *streams, *self.parameters())
        return torch.cat(streams, dim=1).to(images.dtype)


class Branch(nn.Module):
    """Normalisation, ReLU, 3x3 convolution, twice."""

    def __init__(self, filters: int):
        super().__init__()
        self.first_norm = normalization(filters)
        self.first_conv = convolution(filters, filters, 3)
        self.second_norm = normalization(filters)
        self.second_conv = convolution(filters, filters, 3)

    def forward(self, stream: torch.Tensor, again: bool = False) -> torch.Tensor:
        """From `(batch, filters, rows, columns)`, in training.

        Args:
            stream: The stream that is kept.
            again: Whether it is computed once more, and moves no statistics.
        """
        features = self.first_conv(_activated(self.first_norm, stream, again))
        return self.second_conv(_activated(self.second_norm, features, again))


def _activated(norm: nn.BatchNorm2d, features: torch.Tensor, again: bool):
    moving = (None, None) if again else (norm.running_mean, norm.running_var)
    features = functional.batch_norm(
        features, *moving, norm.weight, norm.bias, True, norm.momentum, norm.eps
    )
    return functional.relu(features, inplace=True)


class Reversible(torch.autograd.Function):
    """The chain, whose backward pass takes the changes away again."""

    @staticmethod
    def forward(context, branches: Sequence[Branch], kept, changed, *weights):
        """The two streams after all branches."""
        for branch in branches:
            kept, changed = changed + branch(kept), kept
        context.branches = branches
        device = kept.device.type
        context.autocast = {
            "device_type": device,
            "dtype": torch.get_autocast_dtype(device),
            "enabled": torch.is_autocast_enabled(device),
        }
        context.save_for_backward(kept, changed)
        return kept, changed

    @staticmethod
    def backward(context, *upstream):
        """Gradients of the incoming streams and of the weights, from the outcome."""
        kept, changed = context.saved_tensors
        found: list[torch.Tensor] = []
        for branch in reversed(context.branches):
            stream = changed.detach().requires_grad_()
            with torch.enable_grad(), torch.autocast(**context.autocast):
                change = branch(stream, again=True)
            inputs = [stream, *branch.parameters()]
            of_stream, *newest = torch.autograd.grad(
                change, inputs, upstream[0].to(change.dtype)
            )
            kept, changed = changed, kept - change.detach()
            upstream = (upstream[1] + of_stream, upstream[0])
            found = [*newest, *found]
        return None, *upstream, *found
