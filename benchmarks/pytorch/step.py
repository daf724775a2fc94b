"""The training step of `supervised`, `sesemi` and `color_s4l` in PyTorch.

Does what our step does: contrast normalisation, whitening, shift, flip and noise, the
views, two passes with separate batch statistics, two cross-entropies, the sum of
squared kernels, and SGD with Nesterov momentum.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

SCALE = 55.0
SHIFT = 2
NOISE = 0.15
OF_VIEWS = {
    "identity": lambda images: images,
    "rotated_90": lambda images: torch.rot90(images, 1, (2, 3)),
    "rotated_180": lambda images: torch.rot90(images, 2, (2, 3)),
    "rotated_270": lambda images: torch.rot90(images, 3, (2, 3)),
    "flipped_left_right": lambda images: images.flip(3),
    "flipped_up_down": lambda images: images.flip(2),
}


def preprocess(raw: torch.Tensor, *whitening: torch.Tensor):
    """Contrast normalisation and whitening.

    Args:
        raw: uint8 `(n, height, width, 3)`.
        *whitening: Mean, float `(d,)`, and matrix, float `(d, d)`; or nothing, for
            the contrast normalisation alone.

    Returns:
        Float32 `(n, 3, height, width)`, its memory channels last.
    """
    flat = raw.float().flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    flat = SCALE * flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-10)
    if whitening:
        mean, matrix = whitening
        flat = (flat - mean) @ matrix
    return flat.reshape(raw.shape).permute(0, 3, 1, 2)


def draw(count: int, side: int, flip: bool, device: torch.device) -> tuple:
    """Shifts, int64 `(n, 2)`, flips, bool `(n,)`, and noise `(n, 3, side, side)`."""
    return (
        torch.randint(-SHIFT, SHIFT + 1, (count, 2), device=device),
        torch.rand(count, device=device) < (0.5 if flip else 0.0),
        NOISE * torch.randn(count, side, side, 3, device=device).permute(0, 3, 1, 2),
    )


def augment(images: torch.Tensor, draws: tuple) -> torch.Tensor:
    """Shift with mirrored edges, left-right flip, noise.

    Args:
        images: Float `(n, 3, height, width)`.
        draws: Of `draw`.

    Returns:
        Float of the same shape.
    """
    shift, flip, noise = draws
    side = images.shape[2]
    place = torch.arange(side, device=images.device)
    rows = _mirrored(place - shift[:, :1], side)
    columns = _mirrored(place - shift[:, 1:], side)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    # Indices on both sides of a slice put the sliced axis last: (n, rows, columns, 3).
    which = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images[which, :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2) + noise


def _mirrored(place: torch.Tensor, side: int) -> torch.Tensor:
    place = torch.where(place < 0, -place - 1, place)
    return torch.where(place >= side, 2 * side - 1 - place, place)


def losses(
    network: torch.nn.Module,
    views: Mapping[str, torch.Tensor],
    tasks: Sequence[str],
    weight_decay: float,
) -> dict[str, torch.Tensor]:
    """The parts of the loss.

    Args:
        network: Its heads are "class" and, with tasks, "proxy".
        views: `labeled` and each task, float `(n, 3, height, width)`; `labels`.
        tasks: Views of the unlabelled images; their places are the proxy labels.
        weight_decay: Factor on the sum of squares of the kernels.

    Returns:
        Named scalars; their sum is the loss.
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
    """One update of the network.

    Attributes:
        network: On its device, channels last.
        optimizer: Over its parameters.
        tasks: Of the method.
        whitening: Mean `(d,)` and matrix `(d, d)`; or nothing.
        flip: Whether half of the labelled images are flipped.
        bfloat16: Whether convolutions compute in bfloat16.
        weight_decay: Factor on the sum of squares of the kernels.
    """

    network: torch.nn.Module
    optimizer: torch.optim.Optimizer
    tasks: tuple[str, ...]
    whitening: tuple[torch.Tensor, ...]
    flip: bool = True
    bfloat16: bool = False
    weight_decay: float = 5e-4

    @property
    def device(self) -> torch.device:
        """The network's."""
        return next(self.network.parameters()).device

    def views(self, batch: Mapping) -> dict[str, torch.Tensor]:
        """The views of a batch of `StepBatches`, on the network's device."""
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
                if name in OF_VIEWS:
                    made[name] = OF_VIEWS[name](images)
        if "colorized" in self.tasks:
            images = preprocess(raw["colorized"], *self.whitening)
            made["colorized"] = augment(images, drawn)
        return made

    def __call__(self, batch: Mapping) -> dict[str, torch.Tensor]:
        """Updates the network; returns the parts of the loss."""
        views = self.views(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            parts = losses(self.network, views, self.tasks, self.weight_decay)
        self.optimizer.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        self.optimizer.step()
        return {name: part.detach() for name, part in parts.items()}
