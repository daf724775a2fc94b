"""The plain PyTorch step, fed with the same batches. Keras is not even imported."""

import torch

from benchmarks.pytorch.network import Network
from benchmarks.pytorch.step import Step
from benchmarks.pytorch.trunks import TRUNKS
from benchmarks.speed.case import CLASSES, Case, Repainted
from color_s4l import data

LEARNING_RATE = 0.05
DROPOUT = 0.5


class Steps:
    """A network and its batches; `run` trains.

    Args:
        case: What to measure.
    """

    def __init__(self, case: Case):
        self.case, self.done = case, 0
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dataset = case.dataset()
        split = data.draw_split(
            dataset.labels, dataset.classes, 50, case.unlabeled, 0, 1
        )
        self.batches = data.StepBatches(
            dataset.images,
            dataset.labels,
            split,
            case.batch_size,
            case.labeled_batch,
            1,
            Repainted().colorize(dataset.images[split.unlabeled])
            if "colorized" in case.tasks
            else None,
        )
        self.step = self._step()
        self.images_per_step = case.labeled_batch + case.batch_size * len(case.tasks)

    def _step(self) -> Step:
        case = self.case
        heads = {"class": CLASSES}
        if case.tasks:
            heads["proxy"] = len(case.tasks)
        network = Network(TRUNKS[case.network](case.width), heads, DROPOUT)
        network = network.to(self.device, memory_format=torch.channels_last)
        return Step(
            network,
            torch.optim.SGD(
                network.parameters(), LEARNING_RATE, momentum=0.9, nesterov=True
            ),
            case.tasks,
            self._whitening() if case.zca else (),
            bfloat16=case.dtype_policy == "mixed_bfloat16",
        )

    def _whitening(self) -> tuple[torch.Tensor, torch.Tensor]:
        # The identity takes the time of a fitted matrix.
        size = self.case.image_size**2 * 3
        return (
            torch.zeros(size, device=self.device),
            torch.eye(size, device=self.device),
        )

    def run(self) -> None:
        """Trains for the case's steps."""
        for number in range(self.done, self.done + self.case.steps):
            parts = self.step(self.batches.batch(number))
        self.done += self.case.steps
        float(sum(parts.values()))  # waits for the device

    def parts(self) -> dict[str, float]:
        """Not measured for PyTorch."""
        return {}

    def devices(self) -> list[str]:
        """Name of the GPU, or `["CPU"]`."""
        on_gpu = self.device.type == "cuda"
        return [torch.cuda.get_device_name()] if on_gpu else ["CPU"]

    def device_memory(self) -> int | None:
        """Peak bytes on the GPU; None on a CPU."""
        if self.device.type == "cpu":
            return None
        return torch.cuda.max_memory_allocated()
