"""The plain PyTorch step on the library's batches, built like `speed.ours.Steps`."""

import importlib
import types

import torch

from benchmarks.pytorch.step import Network, Step
from benchmarks.speed.case import CLASSES, Case, FakeColorizer
from color_s4l import data


class Steps:
    """A PyTorch network and its batches; `run` trains for `case.steps` steps.

    Args:
        case: The case to measure.
    """

    def __init__(self, case: Case):
        run, images = types.SimpleNamespace(**case.values), case.images()
        self.case, self.done = case, 0
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        split = data.draw_split(
            images.labels, images.classes, run.labels, run.unlabeled, 0, run.seed
        )
        colorized = None
        if "colorized" in case.tasks:
            colorized = FakeColorizer().colorize(images.images[split.unlabeled])
        self.batches = data.StepBatches(
            images.images,
            images.labels,
            split,
            run.batch_size,
            run.labeled_batch,
            run.seed,
            colorized,
        )
        self.images_per_step = run.labeled_batch + run.batch_size * len(case.tasks)
        heads = {"class": CLASSES}
        if case.tasks:
            heads["proxy"] = len(case.tasks)
        trunk = importlib.import_module(f"benchmarks.pytorch.{run.network}")
        network = Network(trunk.build(run.width), heads, run.dropout)
        network = network.to(self.device, memory_format=torch.channels_last)
        # Whitening by the identity takes the same time as by a fitted matrix.
        size = run.image_size**2 * 3
        mean, matrix = torch.zeros(size), torch.eye(size)
        self.step = Step(
            network,
            torch.optim.SGD(
                network.parameters(), run.learning_rate, momentum=0.9, nesterov=True
            ),
            case.tasks,
            (mean.to(self.device), matrix.to(self.device)) if run.zca else (),
            flip=run.hflip,
            bfloat16=run.dtype_policy == "mixed_bfloat16",
            weight_decay=run.weight_decay,
        )

    def run(self) -> None:
        """Trains for the steps of one measurement."""
        for number in range(self.done, self.done + self.case.steps):
            parts = self.step(self.batches.batch(number))
        self.done += self.case.steps
        float(sum(parts.values()))  # waits for the device

    def devices(self) -> list[str]:
        """Returns the name of the GPU, or `["CPU"]`."""
        on_gpu = self.device.type == "cuda"
        return [torch.cuda.get_device_name()] if on_gpu else ["CPU"]

    def device_memory(self) -> int | None:
        """Returns the peak bytes on the GPU; None on a CPU."""
        if self.device.type == "cpu":
            return None
        return torch.cuda.max_memory_allocated()
