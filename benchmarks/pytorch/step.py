"""The training step of `supervised`, `sesemi` and `color_s4l` in PyTorch.

The step does the same work as the library's step: contrast normalisation, whitening,
shift, flip, noise, proxy views, two passes with separate batch statistics, two
cross-entropies, the sum of squared kernels, and SGD with Nesterov momentum.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

SCALE = 55.0
SHIFT = 2
NOISE = 0.15
GEOMETRIC = {
    "identity": lambda images: images,
    "rotated_90": lambda images: torch.rot90(images, 1, (2, 3)),
    "rotated_180": lambda images: torch.rot90(images, 2, (2, 3)),
    "rotated_270": lambda images: torch.rot90(images, 3, (2, 3)),
    "flipped_left_right": lambda images: images.flip(3),
    "flipped_up_down": lambda images: images.flip(2),
}


class Network(nn.Module):
    """A trunk with `trunk.channels` outputs, global average pooling, linear heads.

    `heads` maps the name of each head to its number of classes; `dropout` is the
    dropout rate before the class head.
    """

    def __init__(self, trunk: typing.Any, heads: dict[str, int], dropout: float):
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(trunk.channels, size) for name, size in heads.items()}
        )

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns the logits of each head, float32 `(batch, classes)`.

        Args:
            images: Preprocessed images, float `(batch, 3, height, width)`.
        """
        pooled = self.trunk(images).mean(dim=(2, 3))
        inputs = {"class": self.dropout(pooled)}
        return {
            name: head(inputs.get(name, pooled)).float()
            for name, head in self.heads.items()
        }

    @property
    def kernels(self) -> list[torch.Tensor]:
        """The weights of convolutions and heads, which have weight decay."""
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return [layer.weight for layer in layers]


def preprocess(raw: torch.Tensor, *whitening: torch.Tensor) -> torch.Tensor:
    """Returns images after contrast normalisation and whitening.

    Args:
        raw: uint8 `(n, height, width, 3)`.
        *whitening: Mean, float `(d,)`, and matrix, float `(d, d)`; without them the
            images are not whitened.

    Returns:
        Float32 `(n, 3, height, width)`, channels last in memory.
    """
    flat = raw.float().flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    flat = SCALE * flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-10)
    if whitening:
        mean, matrix = whitening
        flat = (flat - mean) @ matrix
    return flat.reshape(raw.shape).permute(0, 3, 1, 2)


def draw(count: int, side: int, flip: bool, device: torch.device) -> tuple:
    """Draws shifts int64 `(n, 2)`, flips bool `(n,)`, noise `(n, 3, side, side)`."""
    return (
        torch.randint(-SHIFT, SHIFT + 1, (count, 2), device=device),
        torch.rand(count, device=device) < (0.5 if flip else 0.0),
        NOISE * torch.randn(count, side, side, 3, device=device).permute(0, 3, 1, 2),
    )


def augment(images: torch.Tensor, draws: tuple) -> torch.Tensor:
    """Returns the images shifted with mirrored edges, flipped left-right, with noise.

    Args:
        images: Float `(n, 3, height, width)`.
        draws: The result of `draw`.
    """
    shift, flip, noise = draws
    side = images.shape[2]
    place = torch.arange(side, device=images.device)
    rows = _mirrored(place - shift[:, :1], side)
    columns = _mirrored(place - shift[:, 1:], side)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    # With indices on both sides of a slice, PyTorch puts the sliced axis last:
    # (n, rows, columns, 3).
    which = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images[which, :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2) + noise


def _mirrored(place: torch.Tensor, side: int) -> torch.Tensor:
    place = torch.where(place < 0, -place - 1, place)
    return torch.where(place >= side, 2 * side - 1 - place, place)


def losses(
    network: Network,
    views: Mapping[str, torch.Tensor],
    tasks: Sequence[str],
    weight_decay: float,
) -> dict[str, torch.Tensor]:
    """Returns the parts of the loss as named scalars; their sum is the loss.

    Args:
        network: A network with the head "class" and, if there are tasks, "proxy".
        views: The view `labeled` and the view of each task, float
            `(n, 3, height, width)`; and `labels`, the classes, integers `(n,)`.
        tasks: Names of the views of the unlabelled images. The position of a name is
            the proxy label.
        weight_decay: Factor on the sum of squares of the kernels.
    """
    logits = network(views["labeled"])["class"]
    parts = {"class_loss": functional.cross_entropy(logits, views["labels"].long())}
    if tasks:
        images = torch.cat([views[name] for name in tasks])
        logits = network(images)["proxy"]
        labels = torch.arange(len(tasks), device=logits.device)
        labels = labels.repeat_interleave(len(logits) // len(tasks))
        parts["proxy_loss"] = functional.cross_entropy(logits, labels)
    squares = torch.stack([kernel.square().sum() for kernel in network.kernels])
    parts["weight_decay"] = weight_decay * squares.sum()
    return parts


@dataclasses.dataclass(frozen=True)
class Step:
    """A training step; calling it updates the network once.

    Attributes:
        network: The network, on its device, in the channels-last format.
        optimizer: Updates the parameters of the network.
        tasks: Proxy tasks of the method.
        whitening: Mean `(d,)` and matrix `(d, d)`; empty without whitening.
        flip: Whether labelled images are flipped with probability 1/2.
        bfloat16: Whether convolutions and linear layers are computed in bfloat16.
        weight_decay: Factor on the sum of squares of the kernels.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    tasks: tuple[str, ...]
    whitening: tuple[torch.Tensor, ...]
    flip: bool = True
    bfloat16: bool = False
    weight_decay: float = 5e-4

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def views(self, batch: Mapping) -> dict[str, torch.Tensor]:
        """Returns the views of a batch of `StepBatches`, on the network's device."""
        device = self.device
        raw = {
            name: torch.from_numpy(array).to(device).flatten(0, 1)
            for name, array in batch.items()
        }
        labeled = preprocess(raw["labeled"], *self.whitening)
        count, _, side, _ = labeled.shape
        drawn = draw(count, side, self.flip, device)
        made = {"labeled": augment(labeled, drawn), "labels": raw["labels"]}
        if self.tasks:
            drawn = draw(len(raw["unlabeled"]), side, False, device)
            images = augment(preprocess(raw["unlabeled"], *self.whitening), drawn)
            for name in self.tasks:
                if name in GEOMETRIC:
                    made[name] = GEOMETRIC[name](images)
        if "colorized" in self.tasks:
            images = preprocess(raw["colorized"], *self.whitening)
            made["colorized"] = augment(images, drawn)
        return made

    def __call__(self, batch: Mapping) -> dict[str, torch.Tensor]:
        """Updates the network and returns the parts of the loss."""
        views = self.views(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            parts = losses(self.network, views, self.tasks, self.weight_decay)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack([*parts.values()]).sum().backward()
        self.optimizer.step()
        return {name: part.detach() for name, part in parts.items()}
